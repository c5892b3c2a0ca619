//! Answers that are cut, damaged, of another size, late, or of no use.

use std::fs;
use std::time::{Duration, Instant};

use plantain_hub::{HubError, HubOptions, Patience, Unobserved};

use crate::fake_hub::{FakeHub, Fault, LIST};
use crate::model::{UNET, weights};
use crate::server::{End, Reply, Server};

/// The first bytes asked for, each time that the UNet was asked for.
fn starts(hub: &FakeHub) -> Vec<usize> {
    let asked = hub.asked().into_iter().filter(|(name, _)| name == UNET);
    asked.map(|(_, start)| start).collect()
}

fn cut(after: usize) -> Fault {
    Fault::End(End::CutAfter(after))
}

#[test]
fn cut_answers_are_continued_where_they_ended() {
    let hub = FakeHub::with_model();
    hub.then(UNET, cut(150_000)).then(UNET, cut(50_000));
    hub.check(&hub.pull().unwrap());
    assert_eq!(starts(&hub), [0, 150_000, 200_000]);
}

#[test]
fn a_pull_that_gave_up_is_continued_by_the_next_one() {
    let hub = FakeHub::with_model();
    hub.then(UNET, cut(100_000))
        .then(UNET, cut(10))
        .then(UNET, cut(0));
    let error = hub.pull().unwrap_err();
    assert!(
        matches!(&error, HubError::GaveUp { what, attempts: 3, .. } if what == UNET),
        "{error}"
    );
    assert!(error.to_string().contains("pull again"), "{error}");
    assert!(!hub.path(UNET).exists() && !hub.blob(UNET).exists());
    assert_eq!(
        fs::read(hub.partial(UNET)).unwrap(),
        hub.bytes(UNET)[..100_010]
    );
    assert_eq!(starts(&hub), [0, 100_000, 100_010]);

    hub.check(&hub.pull().unwrap());
    assert_eq!(starts(&hub), [100_010]);
}

#[test]
fn attempts_that_bring_a_good_part_do_not_count() {
    let large = weights(6 << 20, 9);
    let hub = FakeHub::new([("a.safetensors".to_string(), large)]);
    for _ in 0..5 {
        hub.then("a.safetensors", cut(1 << 20));
    }
    hub.check(&hub.pull().unwrap());
}

#[test]
fn a_wrong_hash_removes_the_file_and_names_it() {
    for name in [UNET, "unet/config.json"] {
        let hub = FakeHub::with_model();
        hub.then(name, Fault::Damaged);
        let error = hub.pull().unwrap_err();
        let text = error.to_string();
        let HubError::WrongHash {
            file,
            expected,
            found,
            ..
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!(file, name);
        assert_eq!(
            Some(expected.as_str()),
            hub.blob(name).file_name().unwrap().to_str()
        );
        assert_ne!(expected, found);
        assert!(
            [&file, &expected, &found]
                .iter()
                .all(|part| text.contains(*part)),
            "{text}"
        );
        for path in [hub.path(name), hub.blob(name), hub.partial(name)] {
            assert!(path.symlink_metadata().is_err(), "{}", path.display());
        }
        hub.check(&hub.pull().unwrap());
    }
}

#[test]
fn what_an_earlier_pull_left_damaged_is_noticed() {
    let hub = FakeHub::with_model();
    hub.then(UNET, cut(1000))
        .then(UNET, cut(0))
        .then(UNET, cut(0));
    hub.pull().unwrap_err();
    let mut damaged = fs::read(hub.partial(UNET)).unwrap();
    damaged[500] ^= 1;
    fs::write(hub.partial(UNET), damaged).unwrap();
    assert!(matches!(
        hub.pull().unwrap_err(),
        HubError::WrongHash { .. }
    ));
    hub.check(&hub.pull().unwrap());
    assert_eq!(starts(&hub).last(), Some(&0));
}

#[test]
fn what_is_longer_than_the_file_is_thrown_away() {
    let hub = FakeHub::with_model();
    hub.then(UNET, cut(10))
        .then(UNET, cut(0))
        .then(UNET, cut(0));
    hub.pull().unwrap_err();
    fs::write(hub.partial(UNET), vec![0; 700_000]).unwrap();
    hub.check(&hub.pull().unwrap());
}

#[test]
fn a_host_that_cannot_continue_begins_anew() {
    let hub = FakeHub::with_model();
    hub.then(UNET, cut(100_000)).then(UNET, Fault::WholeAlways);
    hub.check(&hub.pull().unwrap());
    assert_eq!(starts(&hub), [0, 100_000]);

    let hub = FakeHub::with_model();
    hub.then(UNET, cut(100_000))
        .then(UNET, Fault::Instead(Reply::new(416, "")));
    hub.check(&hub.pull().unwrap());
    assert_eq!(starts(&hub), [0, 100_000, 0]);
}

#[test]
fn another_part_than_was_asked_for_is_not_taken() {
    let hub = FakeHub::with_model();
    hub.then(UNET, cut(100_000)).then(UNET, Fault::OtherPart);
    hub.check(&hub.pull().unwrap());
    assert_eq!(starts(&hub), [0, 100_000, 100_000]);
}

#[test]
fn another_size_than_was_listed_is_refused() {
    let size = 600_000;
    for (length, end) in [
        (size - 1, End::Whole),
        (size + 1, End::Whole),
        (size + 1, End::Unmeasured),
        (4096, End::Endless),
    ] {
        let hub = FakeHub::with_model();
        hub.then(UNET, Fault::Sized(length, end));
        let error = hub.pull().unwrap_err();
        assert!(
            matches!(&error, HubError::Size { file, expected: 600_000, .. } if file == UNET),
            "{error}"
        );
        assert!(!hub.path(UNET).exists());
        hub.check(&hub.pull().unwrap());
    }
    // Without a length, an answer that is too short cannot be told from one that was cut.
    let hub = FakeHub::with_model();
    hub.then(UNET, Fault::Sized(0, End::Unmeasured));
    hub.check(&hub.pull().unwrap());
}

#[test]
fn servers_in_trouble_are_asked_again() {
    let hub = FakeHub::with_model();
    for status in [500, 503] {
        hub.then(LIST, Fault::Instead(Reply::new(status, "")));
        hub.then("unet/config.json", Fault::Instead(Reply::new(status, "")));
        // Signed addresses of the other host expire.
        hub.then(UNET, Fault::Instead(Reply::new(403, "")));
    }
    hub.check(&hub.pull().unwrap());

    for _ in 0..3 {
        hub.then(LIST, Fault::Instead(Reply::new(502, "")));
    }
    let error = hub.pull().unwrap_err();
    assert!(matches!(error, HubError::GaveUp { .. }), "{error}");
    assert!(error.to_string().contains("502"), "{error}");
}

#[test]
fn the_hub_may_ask_to_wait() {
    let hub = FakeHub::with_model();
    let limited =
        |seconds: &str| Fault::Instead(Reply::new(429, "").header("Retry-After", seconds));
    hub.then(UNET, limited("1"));
    let start = Instant::now();
    hub.check(&hub.pull().unwrap());
    assert!(start.elapsed() >= Duration::from_secs(1));

    let hub = FakeHub::with_model();
    hub.then("vae/config.json", limited("3600"));
    let start = Instant::now();
    let error = hub.pull().unwrap_err();
    assert!(
        matches!(error, HubError::RateLimited { seconds: 3600, .. }),
        "{error}"
    );
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn silence_is_a_failure() {
    let hub = FakeHub::with_model();
    hub.then(UNET, Fault::End(End::SilentAfter(100_000)));
    let options = HubOptions {
        patience: Patience {
            silence: Duration::from_millis(300),
            ..hub.options().patience
        },
        ..hub.options()
    };
    hub.check(&hub.pull_with(&options, &mut Unobserved).unwrap());
    assert_eq!(starts(&hub), [0, 100_000]);
}

#[test]
fn where_nobody_listens_the_error_says_so() {
    let hub = FakeHub::with_model();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let options = HubOptions {
        endpoint: format!("http://{free}"),
        ..hub.options()
    };
    let error = hub.pull_with(&options, &mut Unobserved).unwrap_err();
    assert!(matches!(error, HubError::GaveUp { .. }), "{error}");
    assert!(error.to_string().contains(&free.to_string()), "{error}");
}

/// No certificate can be shown here, but that nothing is told before there is one.
#[test]
fn a_host_that_does_not_encrypt_is_no_https_endpoint() {
    let hub = FakeHub::with_model();
    let options = HubOptions {
        endpoint: hub.hub.url().replace("http:", "https:"),
        token: Some("hf_secret".to_string()),
        ..hub.options()
    };
    let error = hub.pull_with(&options, &mut Unobserved).unwrap_err();
    assert!(matches!(error, HubError::GaveUp { .. }), "{error}");
    println!("{error}");
    assert!(!format!("{:?}", hub.hub.take_requests()).contains("hf_secret"));
}

#[test]
fn redirections_that_lead_nowhere_are_refused() {
    for location in [
        "/someone/tiny-model/resolve/x",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "",
        "http://",
    ] {
        let hub = FakeHub::with_model();
        // The hub's answer to any unknown path is 404, so the first of these is followed and found to be missing.
        let reply = Reply::new(302, "").header("Location", location);
        hub.then("unet/config.json", Fault::Instead(reply));
        let error = hub.pull().unwrap_err();
        let expected = match location {
            "/someone/tiny-model/resolve/x" => matches!(error, HubError::NoFile { .. }),
            _ => matches!(error, HubError::Redirect { .. }),
        };
        assert!(expected, "{location}: {error}");
    }
    let circle = Server::start(|request| Reply::new(302, "").header("Location", &request.target));
    let hub = FakeHub::with_model();
    let options = HubOptions {
        endpoint: circle.url(),
        ..hub.options()
    };
    let error = hub.pull_with(&options, &mut Unobserved).unwrap_err();
    assert!(matches!(error, HubError::Redirect { .. }), "{error}");
    assert_eq!(circle.take_requests().len(), 11);
}
