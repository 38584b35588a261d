//! A Secrets Manager on loopback with one secret in it: versions, values and staging labels as AWS keeps them, and calls that
//! get lost on the way.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::Notify,
    task::{JoinHandle, JoinSet},
};

/// The ARN of the secret.
pub const ARN: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:keys-AbCdEf";
/// Its name.
pub const NAME: &str = "keys";

/// A running Secrets Manager. Dropping it closes the port and every connection.
pub struct SecretsManager {
    address: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    secret: Mutex<Secret>,
    lost: Notify,
}

/// The secret, as AWS has it.
#[derive(Clone, Default)]
pub struct Secret {
    /// The versions by id.
    pub versions: BTreeMap<String, Version>,
    /// Whether a rotation function is set up.
    pub rotation_enabled: bool,
    /// Whether the first value of a secret becomes the current one at once, whatever its labels.
    pub first_value_is_current: bool,
    /// The calls that were made.
    pub calls: Vec<String>,
    /// The call that is lost, counted from now, and whether it is carried out before.
    pub loses: Option<(usize, bool)>,
    /// Becomes the current version before the next `UpdateSecretVersionStage`.
    pub changes_before_move: Option<String>,
}

/// A version of the secret.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Version {
    /// None until it is put.
    pub value: Option<String>,
    /// Its staging labels.
    pub stages: Vec<String>,
}

type Answer = Result<Value, (&'static str, String)>;

impl SecretsManager {
    /// Listens on a free loopback port. The secret has no version.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let secret = Secret { rotation_enabled: true, ..Secret::default() };
        let shared = Arc::new(Shared { secret: Mutex::new(secret), lost: Notify::new() });
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { address, shared, server }
    }

    /// `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks at the secret, or changes it.
    pub fn with<T>(&self, look: impl FnOnce(&mut Secret) -> T) -> T {
        look(&mut self.shared.secret.lock().unwrap())
    }

    /// Waits until a call was lost.
    pub async fn lost(&self) {
        self.shared.lost.notified().await;
    }
}

impl Drop for SecretsManager {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Secret {
    /// What `RotateSecret` does before it calls the function.
    pub fn rotate(&mut self, token: &str) -> Result<(), &'static str> {
        if let Some(pending) = self.holder("AWSPENDING")
            && self.holder("AWSCURRENT") != Some(pending)
        {
            return Err("a previous rotation is still in progress");
        }
        self.move_stage("AWSPENDING", token);
        Ok(())
    }

    /// Puts a value as the current one, as an operator does.
    pub fn put_current(&mut self, version: &str, value: &str) {
        self.versions.entry(version.to_owned()).or_default().value = Some(value.to_owned());
        self.move_stage("AWSCURRENT", version);
    }

    /// The version that has that label.
    pub fn holder(&self, stage: &str) -> Option<&str> {
        let held = |version: &Version| version.stages.iter().any(|held| held == stage);
        self.versions.iter().find(|(_, version)| held(version)).map(|(id, _)| id.as_str())
    }

    /// The ring that has that label, as JSON.
    pub fn ring(&self, stage: &str) -> Value {
        serde_json::from_str(self.versions[self.holder(stage).unwrap()].value.as_deref().unwrap()).unwrap()
    }

    fn move_stage(&mut self, stage: &str, to: &str) {
        let from = self.holder(stage).map(str::to_owned);
        if from.as_deref() == Some(to) {
            return;
        }
        for version in self.versions.values_mut() {
            version.stages.retain(|held| held != stage);
        }
        self.versions.entry(to.to_owned()).or_default().stages.push(stage.to_owned());
        if let Some(from) = from.filter(|_| stage == "AWSCURRENT") {
            self.move_stage("AWSPREVIOUS", &from);
        }
    }

    fn call(&mut self, operation: &str, input: &Value) -> Answer {
        if ![ARN, NAME].contains(&input["SecretId"].as_str().unwrap()) {
            return Err(("ResourceNotFoundException", "Secrets Manager can't find the specified secret.".to_owned()));
        }
        let text = |name: &str| input[name].as_str();
        match operation {
            "DescribeSecret" => {
                let labelled = self.versions.iter().filter(|(_, version)| !version.stages.is_empty());
                let stages: BTreeMap<_, _> = labelled.map(|(id, version)| (id, &version.stages)).collect();
                Ok(json!({
                    "ARN": ARN, "Name": NAME, "RotationEnabled": self.rotation_enabled, "VersionIdsToStages": stages,
                }))
            }
            "GetSecretValue" => {
                let stage = text("VersionStage").unwrap_or("AWSCURRENT");
                let id = text("VersionId").map(str::to_owned).or(self.holder(stage).map(str::to_owned));
                let value = id.as_ref().and_then(|id| Some((id, self.versions.get(id)?.value.as_ref()?)));
                let Some((id, value)) = value else {
                    return Err(("ResourceNotFoundException", "can't find the specified secret value".to_owned()));
                };
                Ok(json!({"ARN": ARN, "Name": NAME, "VersionId": id, "SecretString": value}))
            }
            "PutSecretValue" => self.put(input),
            "UpdateSecretVersionStage" => {
                if let Some(value) = self.changes_before_move.take() {
                    self.put_current("by-hand", &value);
                }
                let (stage, holder) = (text("VersionStage").unwrap(), self.holder(text("VersionStage").unwrap()));
                if holder != text("RemoveFromVersionId") && holder != text("MoveToVersionId") {
                    return Err(("InvalidParameterException", format!("{stage} is attached to version {holder:?}")));
                }
                match text("MoveToVersionId") {
                    Some(version) => self.move_stage(stage, version),
                    None => self.versions.values_mut().for_each(|version| version.stages.retain(|held| held != stage)),
                }
                Ok(json!({"ARN": ARN, "Name": NAME}))
            }
            _ => Err(("AccessDeniedException", format!("{operation} is not allowed"))),
        }
    }

    fn put(&mut self, input: &Value) -> Answer {
        let id = input["ClientRequestToken"].as_str().unwrap().to_owned();
        let value = input["SecretString"].as_str().unwrap().to_owned();
        let is_first = self.versions.values().all(|version| version.value.is_none());
        let held = self.versions.entry(id.clone()).or_default().value.get_or_insert_with(|| value.clone());
        if *held != value {
            return Err(("ResourceExistsException", "this token is in use for another value".to_owned()));
        }
        let stages = input["VersionStages"].as_array().cloned().unwrap_or(vec![json!("AWSCURRENT")]);
        for stage in stages {
            self.move_stage(stage.as_str().unwrap(), &id);
        }
        if is_first && self.first_value_is_current {
            self.move_stage("AWSCURRENT", &id);
        }
        Ok(json!({"ARN": ARN, "Name": NAME, "VersionId": id}))
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Full<Bytes>>, Infallible> {
    let target = request.headers()["x-amz-target"].to_str().unwrap().to_owned();
    let operation = target.strip_prefix("secretsmanager.").unwrap().to_owned();
    let input: Value = serde_json::from_slice(&request.into_body().collect().await.unwrap().to_bytes()).unwrap();
    let answer = {
        let mut secret = shared.secret.lock().unwrap();
        secret.calls.push(operation.clone());
        match secret.loses {
            Some((0, is_carried_out)) => {
                secret.loses = None;
                if is_carried_out {
                    let _ = secret.call(&operation, &input);
                }
                None
            }
            ref mut loses => {
                if let Some((left, _)) = loses {
                    *left -= 1;
                }
                Some(secret.call(&operation, &input))
            }
        }
    };
    let Some(answer) = answer else {
        shared.lost.notify_one();
        return std::future::pending().await;
    };
    let (status, body) = match answer {
        Ok(body) => (200, body),
        Err((code, message)) => (400, json!({"__type": code, "message": message})),
    };
    let response = Response::builder().status(status).header("content-type", "application/x-amz-json-1.1");
    Ok(response.body(Full::from(body.to_string())).unwrap())
}
