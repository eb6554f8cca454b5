//! An instant query of Prometheus' HTTP API (<https://prometheus.io/docs/prometheus/latest/querying/api/>).

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;

use crate::quotable::quotable;

/// Path and query of a request for an instant query, of a server whose API is below `base`.
pub fn target(base: &str, query: &str) -> String {
    let mut target = format!("{}/api/v1/query?query=", base.trim_end_matches('/'));
    for byte in query.bytes() {
        // RFC 3986, 2.3: all others have a meaning, or none.
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            target.push(char::from(byte));
        } else {
            // A text takes whatever is written to it.
            let _ = write!(target, "%{byte:02X}");
        }
    }
    target
}

/// What the API answers, as far as it is looked at. An error has no `data`.
#[derive(Deserialize)]
struct Reply {
    status: String,
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

/// The number of a scalar, or of the one sample of a vector; `None`: the vector is empty.
///
/// # Errors
/// What the server says of the query, or why its answer has not one number.
pub fn sample(status: u16, body: &[u8]) -> Result<Option<f64>, String> {
    let reply = serde_json::from_slice::<Reply>(body);
    // What is wrong with a query stands in answers of other statuses.
    if let Ok(Reply { status, error, .. }) = &reply
        && status == "error"
    {
        return Err(format!("the server says: {}", quotable(error)));
    }
    if status != 200 {
        return Err(format!("status {status}, expected 200"));
    }
    let Reply { status, data, .. } =
        reply.map_err(|error| format!("the answer is not Prometheus': {}", quotable(&error.to_string())))?;
    match data {
        Some(data) if status == "success" => data.number(),
        _ => Err(format!("the answer is not Prometheus': status {}", quotable(&status))),
    }
}

impl Data {
    fn number(&self) -> Result<Option<f64>, String> {
        match (self.result_type.as_str(), self.result.as_array().map(Vec::as_slice)) {
            ("scalar", _) => value(&self.result).map(Some),
            ("vector", Some([])) => Ok(None),
            ("vector", Some([one])) => value(one.get("value").unwrap_or(&Value::Null)).map(Some),
            ("vector", Some(samples)) => {
                let mend = "make one of them, as by `sum(...)`";
                Err(format!("the query has {} samples instead of one; {mend}", samples.len()))
            }
            (other, _) => Err(format!("the query is a {}, neither scalar nor vector", quotable(other))),
        }
    }
}

/// Of a time and a number, which is a text, for JSON has neither NaN nor infinity.
fn value(sample: &Value) -> Result<f64, String> {
    let text = sample.get(1).and_then(Value::as_str).and_then(|text| text.parse().ok());
    text.ok_or_else(|| format!("a sample that is no number: {}", quotable(&sample.to_string())))
}
