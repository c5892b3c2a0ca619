//! Who may have what, and who gets to see the token.

use plantain_hub::{HubError, HubOptions, Pulled, Unobserved};

use crate::fake_hub::{FakeHub, Fault, LIST, repo};
use crate::model::UNET;
use crate::server::{Reply, Request};

fn with_token(hub: &FakeHub, token: &str) -> Result<Pulled, HubError> {
    let options = HubOptions {
        token: Some(token.to_string()),
        ..hub.options()
    };
    hub.pull_with(&options, &mut Unobserved)
}

fn shown_tokens(requests: &[Request]) -> Vec<&str> {
    let headers = requests
        .iter()
        .filter_map(|request| request.headers.get("authorization"));
    headers.map(String::as_str).collect()
}

#[test]
fn the_token_goes_to_the_hub_and_to_no_other_host() {
    let hub = FakeHub::with_model();
    hub.repository.lock().unwrap().token = Some("hf_secret".to_string());
    hub.check(&with_token(&hub, "hf_secret").unwrap());
    let asked = hub.hub.take_requests();
    assert_eq!(shown_tokens(&asked), vec!["Bearer hf_secret"; asked.len()]);
    let large = hub.cdn.take_requests();
    assert_eq!(large.len(), 3);
    for request in large {
        let told = format!("{request:?}");
        assert!(!told.contains("hf_secret"), "{told}");
    }
}

#[test]
fn without_a_token_none_is_sent() {
    let hub = FakeHub::with_model();
    hub.pull().unwrap();
    assert_eq!(shown_tokens(&hub.hub.take_requests()), Vec::<&str>::new());
}

#[test]
fn gated_repositories_say_what_to_do() {
    let hub = FakeHub::with_model();
    hub.repository.lock().unwrap().token = Some("hf_right".to_string());
    for error in [
        hub.pull().unwrap_err(),
        with_token(&hub, "hf_wrong").unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(matches!(error, HubError::Gated { .. }), "{text}");
        assert!(
            text.contains("HF_TOKEN") && text.contains(&format!("{}/{}", hub.hub.url(), repo())),
            "{text}"
        );
        assert!(!text.contains("hf_wrong"), "{text}");
    }
    let forbidden = FakeHub::with_model();
    forbidden.then(LIST, Fault::Instead(Reply::new(403, "")));
    assert!(matches!(
        forbidden.pull().unwrap_err(),
        HubError::Gated { .. }
    ));
}

#[test]
fn what_does_not_exist_is_named() {
    let answered = |what: &str, status: u16, code: &str| {
        let hub = FakeHub::with_model();
        hub.then(
            what,
            Fault::Instead(Reply::new(status, "").header("X-Error-Code", code)),
        );
        hub.pull().unwrap_err()
    };
    // This is how the hub answers strangers about names that do not exist.
    let error = answered(LIST, 401, "RepoNotFound");
    assert!(matches!(error, HubError::NoRepository { .. }), "{error}");
    assert!(matches!(
        answered(LIST, 404, "RepoNotFound"),
        HubError::NoRepository { .. }
    ));
    let error = answered(LIST, 404, "RevisionNotFound");
    assert!(
        matches!(&error, HubError::NoRevision { revision, .. } if revision == "main"),
        "{error}"
    );
    let error = answered("unet/config.json", 404, "EntryNotFound");
    assert!(
        matches!(&error, HubError::NoFile { file, .. } if file == "unet/config.json"),
        "{error}"
    );
    let error = answered(LIST, 418, "");
    assert!(
        matches!(error, HubError::Status { status: 418, .. }),
        "{error}"
    );
}

#[test]
fn tokens_that_cannot_be_sent_are_refused_and_not_shown() {
    let hub = FakeHub::with_model();
    for token in ["", "hf_a\r\nX-Evil: 1", "hf ä"] {
        let error = with_token(&hub, token).unwrap_err();
        assert!(matches!(error, HubError::Token), "{error}");
    }
    assert_eq!(hub.hub.take_requests().len(), 0);
}

#[test]
fn only_the_web_can_be_an_endpoint() {
    let hub = FakeHub::with_model();
    for endpoint in [
        "",
        "huggingface.co",
        "ftp://huggingface.co",
        "file:///tmp",
        "https://",
        "https://me:pw@a",
        "http://a/?x=y",
    ] {
        let options = HubOptions {
            endpoint: endpoint.to_string(),
            ..hub.options()
        };
        let error = hub.pull_with(&options, &mut Unobserved).unwrap_err();
        assert!(
            matches!(error, HubError::Endpoint { .. }),
            "{endpoint}: {error}"
        );
    }
}

#[test]
fn errors_do_not_show_signed_addresses() {
    let hub = FakeHub::with_model();
    for _ in 0..3 {
        hub.then(UNET, Fault::Instead(Reply::new(500, "")));
    }
    let error = format!("{:?}", hub.pull().unwrap_err());
    assert!(!error.contains("signature"), "{error}");
}
