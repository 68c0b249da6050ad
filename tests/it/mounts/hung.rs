//! A mounted share that stops answering slows its own content and nothing else.

use std::time::{Duration, Instant};

use testkit::client::Connection;
use testkit::content::noise;
use testkit::push::{push_blob, push_image};
use testkit::share::Share;

use super::{APP, blob, mounting, save};

/// How many clients ask for what is on the share: more than a runtime has threads that may block.
const CLIENTS: usize = 520;

/// What anything that does not need the share may take. Long: the machine may be busy.
const BOUND: Duration = Duration::from_secs(8);

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    let took = began.elapsed();
    assert!(took < BOUND, "{what} took {took:?}");
    done
}

#[test]
#[allow(clippy::print_stderr, reason = "a test that did not run says so")]
fn d04_a_share_that_hangs_costs_its_own_content_a_503_and_the_rest_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let layers = [noise(3_000_000), noise(2_000_000)[1_000_000..].to_vec()];
    let archive = save(folder.path(), &[(&layers[0], &layers[0]), (&layers[1], &layers[1])]);
    let Some(share) = Share::of(&archive, &folder.path().join("share")) else {
        eprintln!("NOT RUN: nothing can be mounted here, so no share can stop answering");
        return;
    };
    let airdock = mounting(&share.file()).start();
    let client = airdock.client();
    airdock.wait_for_log("are whole; 0 are not");
    assert!(client.get(&blob(&layers[0])).expect(200).body == layers[0]);
    push_image(&client, "own/app", "v1", &[b"layer"]);
    let stored = push_blob(&client, "own/app", &noise(500_000));

    share.stop();
    let mut waiting: Vec<Connection> = Vec::new();
    for index in 0..CLIENTS {
        let mut connection = client.connect();
        let request = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", blob(&layers[index % 2]));
        connection.write(request.as_bytes()).unwrap();
        waiting.push(connection);
    }
    std::thread::sleep(Duration::from_secs(1));
    for _ in 0..3 {
        timed("a manifest", || client.get("/v2/own/app/manifests/v1").expect(200));
        timed("a blob", || client.get(&format!("/v2/own/app/blobs/{stored}")).expect(200));
        timed("the catalog", || client.get("/v2/_catalog").expect(200));
        timed("tags", || client.get("/v2/own/app/tags/list").expect(200));
        timed("a mounted manifest", || client.get(&format!("{APP}/manifests/v1")).expect(200));
        timed("the charts", || client.get("/charts/index.yaml").expect(200));
    }
    timed("a push", || push_image(&client, "own/other", "v2", &[b"another"]));
    // Every one of them gets an answer, or is broken off.
    let began = Instant::now();
    let mut refused = 0;
    for connection in &mut waiting {
        if let Ok((status, _)) = connection.read_head() {
            refused += usize::from(status == 503);
        }
    }
    assert!(refused > CLIENTS / 2, "{refused} of {CLIENTS}");
    assert!(began.elapsed() < Duration::from_secs(50), "{:?}", began.elapsed());
    drop(waiting);
    let late = timed("what is on the share", || client.get(&blob(&layers[1])));
    assert!(
        late.status == 503 && late.text().contains("app.tar") && late.text().contains("not answered"),
        "{}",
        late.text()
    );

    share.go_on();
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = client.get(&blob(&layers[1]));
        if answer.status == 200 {
            assert!(answer.body == layers[1]);
            break;
        }
        assert!(Instant::now() < until, "it does not come back: {}", answer.text());
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(airdock.stop().success());
}
