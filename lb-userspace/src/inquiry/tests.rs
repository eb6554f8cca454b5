use proptest::prelude::*;

use super::number;
use super::pointer::is_valid;
use super::prometheus::target;
use super::url::Url;
use crate::config::model::Sought;

fn sampled(status: u16, body: &str) -> Result<Option<f64>, String> {
    number(&Sought::Sample, status, None, body.as_bytes())
}

fn found(pointer: &str, body: &str) -> Result<Option<f64>, String> {
    number(&Sought::At(pointer.into()), 200, None, body.as_bytes())
}

/// A successful answer of Prometheus.
fn success(kind: &str, result: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#)
}

#[test]
fn an_url_is_taken_apart() {
    let read = |text: &str| Url::read(text).map(|url| (url.secure, url.host.clone(), url.port, url.target()));
    let url = |secure, host: &str, port, target: &str| Ok((secure, host.to_owned(), port, target.to_owned()));
    assert_eq!(read("http://prometheus.monitoring:9090"), url(false, "prometheus.monitoring", 9090, "/"));
    assert_eq!(read("http://p"), url(false, "p", 80, "/"));
    assert_eq!(read("https://p/a/b?c=d%20e"), url(true, "p", 443, "/a/b?c=d%20e"));
    assert_eq!(read("https://[2001:db8::1]:1/x"), url(true, "2001:db8::1", 1, "/x"));
    assert_eq!(read("HTTP://192.0.2.1:65535/"), url(false, "192.0.2.1", 65535, "/"));
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let refused = [
        ("", "no URL"),
        ("prometheus", "`http` or `https`"),
        ("prometheus:9090", "`http` or `https`"),
        ("/x", "`http` or `https`"),
        ("ftp://p", "`http` or `https`"),
        ("http://", "no URL"),
        ("http://p:0", "no port"),
        ("http://p:65536", "no port"),
        ("http://p:", "no port"),
        ("http://p/a b", "no URL"),
        ("http://p/\u{e9}", "no URL"),
        ("http://p/#x", "fragment"),
        ("http://u@p", "password"),
        ("http://u:secret@p:9090/x", "password"),
    ];
    for (text, reason) in refused {
        let (found, mend) = Url::read(text).unwrap_err();
        assert!(found.contains(reason) && !mend.is_empty(), "{text}: {found}");
    }
}

#[test]
fn a_query_is_encoded_to_the_byte() {
    assert_eq!(target("/", "up"), "/api/v1/query?query=up");
    assert_eq!(target("/prom/", "up"), "/prom/api/v1/query?query=up");
    let query = "sum(rate(x{a=\"b\"}[1m])) / 2 + 1 > \u{b5}";
    let encoded = "sum%28rate%28x%7Ba%3D%22b%22%7D%5B1m%5D%29%29%20%2F%202%20%2B%201%20%3E%20%C2%B5";
    assert_eq!(target("", query), format!("/api/v1/query?query={encoded}"));
}

#[test]
fn prometheus_says_one_number_or_none() {
    assert_eq!(sampled(200, &success("scalar", r#"[1435781451.781,"0.25"]"#)), Ok(Some(0.25)));
    let one = r#"[{"metric":{"job":"web"},"value":[1435781451.781,"1e-3"]}]"#;
    assert_eq!(sampled(200, &success("vector", one)), Ok(Some(0.001)));
    assert_eq!(sampled(200, &success("vector", "[]")), Ok(None));
    assert!(sampled(200, &success("scalar", r#"[1,"NaN"]"#)).unwrap().unwrap().is_nan());
    assert_eq!(sampled(200, &success("scalar", r#"[1,"+Inf"]"#)), Ok(Some(f64::INFINITY)));
    assert_eq!(sampled(200, &success("scalar", r#"[1,"-Inf"]"#)), Ok(Some(f64::NEG_INFINITY)));
}

#[test]
fn what_else_prometheus_says_is_an_error_that_says_so() {
    let two = r#"[{"metric":{},"value":[1,"1"]},{"metric":{},"value":[1,"2"]}]"#;
    let refused = r#"{"status":"error","errorType":"bad_data","error":"1:4: parse error: unclosed"}"#;
    let histogram = r#"[{"metric":{},"histogram":[1,{}]}]"#;
    let cases = [
        (200, success("vector", two), "2 samples instead of one; make one of them, as by `sum(...)`"),
        (400, refused.to_owned(), "the server says: 1:4: parse error: unclosed"),
        (200, refused.to_owned(), "the server says: 1:4"),
        (503, "busy".to_owned(), "status 503, expected 200"),
        (201, success("scalar", r#"[1,"1"]"#), "status 201"),
        (200, "<html>".to_owned(), "not Prometheus'"),
        (200, r#"{"status":"success"}"#.to_owned(), "not Prometheus'"),
        (200, success("matrix", "[]"), "the query is a matrix"),
        (200, success("string", r#"[1,"x"]"#), "the query is a string"),
        (200, success("vector", histogram), "no number"),
        (200, success("scalar", r#"[1,"many"]"#), "no number"),
    ];
    for (status, body, expected) in cases {
        let reason = sampled(status, &body).unwrap_err();
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn a_pointer_leads_to_a_number() {
    assert_eq!(found("/data/ratio", r#"{"data":{"ratio":0.5}}"#), Ok(Some(0.5)));
    assert_eq!(found("/a~1b/1", r#"{"a/b":[1,-2]}"#), Ok(Some(-2.0)));
    assert_eq!(found("", "7"), Ok(Some(7.0)));
    assert_eq!(found("/x", r#"{"x":"1.5e3"}"#), Ok(Some(1500.0)), "a text that is a number");
    assert_eq!(found("/x", r#"{"x":null}"#), Ok(None));
    let nothing = found("/x/y", r#"{ "x": {"z": 1} }"#).unwrap_err();
    assert_eq!(nothing, r#"nothing is at "/x/y" of {"x":{"z":1}}"#);
    for (body, what) in [(r#"{"x":true}"#, "true"), (r#"{"x":"a"}"#, "\"a\""), (r#"{"x":[1]}"#, "[1]")] {
        assert_eq!(found("/x", body).unwrap_err(), format!("no number is at \"/x\", but {what}"));
    }
    assert!(found("/x", "{").unwrap_err().contains("no JSON"));
    assert!(["", "/", "/a/0", "/~0~1"].into_iter().all(is_valid));
    assert!(!["a", "/~", "/~2", "/a~"].into_iter().any(is_valid));
}

#[test]
fn another_status_or_a_redirect_is_an_error() {
    let asked = |status, location| number(&Sought::At(String::new()), status, location, b"1");
    assert_eq!((asked(200, None), asked(299, Some("/x"))), (Ok(Some(1.0)), Ok(Some(1.0))));
    for status in [199, 300, 304, 404, 500] {
        assert_eq!(asked(status, None).unwrap_err(), format!("status {status}, expected 200-299"));
    }
    let moved = asked(302, Some("http://else/\n")).unwrap_err();
    assert_eq!(moved, "status 302 leads to http://else/, and redirects are not followed");
    let moved = number(&Sought::Sample, 301, Some("/"), b"").unwrap_err();
    assert!(moved.contains("redirects are not followed"), "{moved}");
}

/// Something like an answer, with one byte that may be another.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let like = vec![
        success("vector", r#"[{"metric":{},"value":[1,"1"]}]"#),
        success("scalar", r#"[1,"1"]"#),
        r#"{"status":"error","error":"x"}"#.to_owned(),
    ];
    let changed = (proptest::sample::select(like), any::<proptest::sample::Index>(), any::<u8>());
    let changed = changed.prop_map(|(text, at, byte)| {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes
    });
    prop_oneof![changed, proptest::collection::vec(any::<u8>(), 0..64)]
}

proptest! {
    /// Whatever is answered: no panic, and a reason is one line that a log and the record can hold.
    #[test]
    fn any_answer_is_a_number_or_a_short_reason(body in answer(), status: u16, pointer in "[/~01a-z]{0,8}", location in "\\PC*") {
        for sought in [Sought::Sample, Sought::At(pointer)] {
            if let Err(reason) = number(&sought, status, Some(&location), &body) {
                prop_assert!(reason.chars().count() < 300 && !reason.contains('\n'), "{}", reason);
            }
        }
    }

    /// Whatever is asked: the request has it to the byte, and is one.
    #[test]
    fn a_query_comes_back_decoded(query in any::<String>()) {
        let target = target("/base", &query);
        prop_assert!(target.parse::<hyper::http::uri::PathAndQuery>().is_ok());
        let encoded = target.strip_prefix("/base/api/v1/query?query=").unwrap().as_bytes();
        let (mut decoded, mut at) = (Vec::new(), 0);
        while let Some(&byte) = encoded.get(at) {
            if byte == b'%' {
                let digits = std::str::from_utf8(&encoded[at + 1..at + 3]).unwrap();
                decoded.push(u8::from_str_radix(digits, 16).unwrap());
                at += 3;
            } else {
                decoded.push(byte);
                at += 1;
            }
        }
        prop_assert_eq!(decoded, query.into_bytes());
    }

    /// Whatever stands for an URL: no panic, and one that is taken makes a request.
    #[test]
    fn any_text_is_an_url_or_is_refused(text in "(http://|https://)?\\PC{0,24}") {
        if let Ok(url) = Url::read(&text) {
            prop_assert!(url.port > 0 && !url.host.is_empty());
            prop_assert!(url.target().parse::<hyper::http::uri::PathAndQuery>().is_ok());
        }
    }
}
