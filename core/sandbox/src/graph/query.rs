//! `$filter`, `$select`, `$top` and `$skiptoken` over a list of objects: the part of OData that Graph's clients use
//! for a set-up.

use serde_json::{Map, Value, json};

use super::error::GraphError;

/// The most objects of one page, and how many there are without `$top`.
const MAX_PAGE: usize = 999;
const PAGE: usize = 100;

/// A query string's options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query {
    filter: Option<Filter>,
    select: Vec<String>,
    top: Option<usize>,
    skip: usize,
}

/// `property eq 'text'`, the one form that is known here, or `tags/any(t:t eq 'text')`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Filter {
    Equal(String, String),
    Any(String, String),
}

impl Query {
    pub(super) fn parse(pairs: &[(String, String)]) -> Result<Self, GraphError> {
        let mut query = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "$filter" => query.filter = Some(Filter::parse(value).ok_or_else(GraphError::filter)?),
                "$select" => query.select = value.split(',').map(|name| name.trim().to_owned()).collect(),
                "$top" => {
                    let top = value.parse().ok().filter(|top| (1..=MAX_PAGE).contains(top));
                    query.top = Some(top.ok_or_else(|| {
                        GraphError::bad_request(format!(
                            "Invalid page size specified: '{value}'. Must be between 1 and 999 inclusive."
                        ))
                    })?);
                }
                "$skiptoken" => {
                    query.skip = value.parse().map_err(|_| {
                        GraphError::bad_request("Invalid $skiptoken value specified in the query.")
                    })?;
                }
                // $count and $orderby change nothing in lists as short as these.
                "$count" | "$orderby" => {}
                _ => {
                    return Err(GraphError::bad_request(format!(
                        "The query parameter '{name}' is not supported."
                    )));
                }
            }
        }
        Ok(query)
    }

    /// Whether an object is asked for by `$select` with this property, as Graph wants it for keys' values.
    pub(super) fn selects(&self, property: &str) -> bool {
        self.select.iter().any(|name| name == property)
    }

    /// An object with the selected properties only.
    pub(super) fn shape(&self, object: Value) -> Value {
        match object {
            Value::Object(all) if !self.select.is_empty() => Value::Object(
                all.into_iter()
                    .filter(|(name, _)| self.selects(name))
                    .collect::<Map<_, _>>(),
            ),
            other => other,
        }
    }

    /// One page of those that the filter lets through. `url` is that of the collection.
    pub(super) fn page(
        &self,
        context: &str,
        url: &str,
        pairs: &[(String, String)],
        all: Vec<Value>,
    ) -> Value {
        let top = self.top.unwrap_or(PAGE);
        let mut found = all
            .into_iter()
            .filter(|object| self.filter.as_ref().is_none_or(|filter| filter.holds(object)))
            .skip(self.skip);
        let page: Vec<Value> = found
            .by_ref()
            .take(top)
            .map(|object| self.shape(object))
            .collect();
        let mut answer = json!({"@odata.context": context, "value": page});
        if found.next().is_some()
            && let Some(answer) = answer.as_object_mut()
        {
            let next: String = pairs
                .iter()
                .filter(|(name, _)| name != "$skiptoken")
                .map(|(name, value)| format!("{name}={}&", escape(value)))
                .collect();
            let next = format!("{url}?{next}$skiptoken={}", self.skip.saturating_add(top));
            answer.insert("@odata.nextLink".to_owned(), json!(next));
        }
        answer
    }
}

/// Percent-encoding of all but letters, digits and `-._~` (RFC 3986 §2.3).
fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

impl Filter {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let name = |name: &str| {
            let name = name.trim();
            (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
                .then(|| name.to_owned())
        };
        if let Some((property, rest)) = text.split_once("/any(") {
            let (variable, condition) = rest.strip_suffix(')')?.split_once(':')?;
            let (other, value) = condition.split_once(" eq ")?;
            return (variable.trim() == other.trim())
                .then(|| Some(Self::Any(name(property)?, literal(value)?)))
                .flatten();
        }
        let (property, value) = text.split_once(" eq ")?;
        Some(Self::Equal(name(property)?, literal(value)?))
    }

    fn holds(&self, object: &Value) -> bool {
        match self {
            // Graph compares strings without regard to case.
            Self::Equal(property, value) => object
                .get(property)
                .and_then(Value::as_str)
                .is_some_and(|own| own.to_lowercase() == value.to_lowercase()),
            Self::Any(property, value) => object
                .get(property)
                .and_then(Value::as_array)
                .is_some_and(|list| list.iter().any(|own| own.as_str() == Some(value))),
        }
    }
}

/// A string literal: in single quotes, each of its own doubled.
pub(super) fn literal(text: &str) -> Option<String> {
    let inner = text.trim().strip_prefix('\'')?.strip_suffix('\'')?;
    let plain = inner.replace("''", "\u{0}");
    (!plain.contains('\'')).then(|| plain.replace('\u{0}', "'"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should panic")]
    use super::*;

    fn query(pairs: &[(&str, &str)]) -> Result<Value, GraphError> {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let all = (0..5)
            .map(|n| json!({"id": n.to_string(), "displayName": format!("O'Neil {}", n % 2), "tags": [n.to_string()]}));
        Ok(Query::parse(&pairs)?.page("c", "https://g/v1.0/applications", &pairs, all.collect()))
    }

    #[test]
    fn filters_and_selects() {
        let found = query(&[("$filter", "displayName eq 'o''neil 1'"), ("$select", "id")]).unwrap();
        assert_eq!(found["value"], json!([{"id": "1"}, {"id": "3"}]));
        let found = query(&[("$filter", "tags/any(t:t eq '4')"), ("$select", "id")]).unwrap();
        assert_eq!(found["value"], json!([{"id": "4"}]));
        for bad in [
            "displayName",
            "displayName ne 'x'",
            "displayName eq x",
            "a eq 'b' or c eq 'd'",
            "tags/any(t:u eq '1')",
        ] {
            assert_eq!(
                query(&[("$filter", bad)]).unwrap_err(),
                GraphError::filter(),
                "{bad}"
            );
        }
    }

    #[test]
    fn pages_lead_to_the_next_one() {
        let first = query(&[("$top", "2"), ("$filter", "displayName eq 'O''Neil 0'")]).unwrap();
        assert_eq!(first["value"].as_array().unwrap().len(), 2);
        assert_eq!(
            first["@odata.nextLink"],
            "https://g/v1.0/applications?$top=2&$filter=displayName%20eq%20%27O%27%27Neil%200%27&$skiptoken=2"
        );
        let last = query(&[
            ("$top", "2"),
            ("$filter", "displayName eq 'O''Neil 0'"),
            ("$skiptoken", "2"),
        ])
        .unwrap();
        assert_eq!(last["value"][0]["id"], "4");
        assert!(last.get("@odata.nextLink").is_none());
        assert!(query(&[("$top", "0")]).is_err() && query(&[("$search", "x")]).is_err());
    }
}
