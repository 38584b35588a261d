//! Answers `{"ok":true}` to everything.

use lambda_http::{Error, Request, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(|_: Request| async {
        let response = Response::builder().header("content-type", "application/json");
        Ok::<_, Error>(response.body(r#"{"ok":true}"#.to_owned())?)
    }))
    .await
}
