//! `App`: who we are in a tenant.
