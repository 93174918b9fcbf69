//! Tokens that are none: every one of them is 401 on a write, whatever it claims.

use crate::colophon::{Colophon, answer, book, isbn};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gateway::policy::Access;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};

/// The parts of a token that the server itself gave.
struct Given {
    token: String,
    header: Value,
    claims: Value,
    /// The server's key, in the forms that a thief of the public one would have and that only its owner has.
    public: Vec<u8>,
    private: EncodingKey,
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

impl Given {
    fn of(colophon: &Colophon) -> Self {
        let token = colophon.token("manager");
        let parts: Vec<_> = token.split('.').collect();
        let (header, claims) = (decoded(parts[0]), decoded(parts[1]));
        let pem = std::fs::read_to_string(colophon.data().join("keys/signing.pem")).unwrap();
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let pair = Ed25519KeyPair::from_pkcs8(&STANDARD.decode(der).unwrap()).unwrap();
        let public = pair.public_key().as_ref().to_vec();
        let private = EncodingKey::from_ed_pem(pem.as_bytes()).unwrap();
        Self { token, header, claims, public, private }
    }

    /// A token with other claims, signed by the server's own key.
    fn claiming(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims.clone();
        change(&mut claims);
        let header = Header { kid: self.header["kid"].as_str().map(str::to_owned), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &claims, &self.private).unwrap()
    }

    /// A token with another header, signed by `key` over it.
    fn headed(&self, header: Value, key: &EncodingKey, algorithm: Algorithm) -> String {
        let message = format!("{}.{}", encoded(&header), encoded(&self.claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

#[tokio::test]
async fn whatever_is_no_valid_token_of_this_installation_is_401() {
    let colophon = Colophon::start().await;
    let given = Given::of(&colophon);
    let elsewhere = Colophon::start().await;
    let foreign = Given::of(&elsewhere);
    let (now, kid) = (given.claims["iat"].as_i64().unwrap(), given.header["kid"].clone());
    let secret = EncodingKey::from_secret(&given.public);
    let secret_pem =
        EncodingKey::from_secret(format!("-----BEGIN PUBLIC KEY-----\n{}", STANDARD.encode(&given.public)).as_bytes());
    let unsigned =
        |algorithm: &str| format!("{}.{}.", encoded(&json!({"alg": algorithm, "typ": "JWT"})), encoded(&given.claims));
    let without = |claim: &str| given.claiming(|claims| drop(claims.as_object_mut().unwrap().remove(claim)));
    let with = |claim: &str, value: Value| given.claiming(|claims| claims[claim] = value);
    let corpus = [
        ("no algorithm", unsigned("none")),
        ("no algorithm, shouted", unsigned("NONE")),
        ("the algorithm without a signature", unsigned("EdDSA")),
        ("HS256 with the public key", given.headed(json!({"alg": "HS256", "kid": kid}), &secret, Algorithm::HS256)),
        ("HS256 with the public key's PEM", given.headed(json!({"alg": "HS256"}), &secret_pem, Algorithm::HS256)),
        ("HS512 said to be EdDSA", given.headed(json!({"alg": "EdDSA", "kid": kid}), &secret, Algorithm::HS512)),
        ("another installation's", foreign.token.clone()),
        (
            "another installation's, with our kid",
            foreign.headed(json!({"alg": "EdDSA", "kid": kid}), &foreign.private, Algorithm::EdDSA),
        ),
        (
            "another installation's, without kid",
            foreign.headed(json!({"alg": "EdDSA"}), &foreign.private, Algorithm::EdDSA),
        ),
        (
            "a kid that is a path",
            given.headed(json!({"alg": "EdDSA", "kid": "../../dev/null"}), &given.private, Algorithm::EdDSA),
        ),
        (
            "a kid that is SQL",
            given.headed(json!({"alg": "EdDSA", "kid": "x' OR '1'='1"}), &given.private, Algorithm::EdDSA),
        ),
        (
            "a critical extension",
            given.headed(
                json!({"alg": "EdDSA", "kid": kid, "crit": ["b64"], "b64": false}),
                &given.private,
                Algorithm::EdDSA,
            ),
        ),
        ("without exp", without("exp")),
        ("without nbf", without("nbf")),
        ("without iss", without("iss")),
        ("without aud", without("aud")),
        ("without sub", without("sub")),
        ("without roles", without("roles")),
        ("expired", with("exp", json!(now - 60))),
        ("not valid yet", with("nbf", json!(now + 600))),
        ("another issuer", with("iss", json!("elsewhere"))),
        ("another audience", with("aud", json!("elsewhere"))),
        ("no audience", with("aud", json!([]))),
        ("exp as text", with("exp", json!((now + 600).to_string()))),
        ("roles as text", with("roles", json!("admin"))),
        ("two parts", given.token.rsplit_once('.').unwrap().0.to_owned()),
        ("four parts", format!("{}.x", given.token)),
        ("a changed claim", given.token.replacen('.', ".e30", 1)),
        ("nothing", String::new()),
        ("too much", "x".repeat(10_000)),
    ];
    for (n, (name, token)) in (0..).zip(corpus) {
        let post = colophon.anonymous(Method::POST, "/v1/books").json(&book(&isbn(n)));
        let answer = answer(post.header("Authorization", format!("Bearer {token}"))).await;
        assert_eq!(answer.problem(), (401, "unauthenticated".to_owned()), "{name}: {answer:?}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{name}");
        let signature = token.rsplit('.').next().unwrap_or_default();
        assert!(signature.len() < 8 || !colophon.log().contains(signature), "{name}: tokens are not logged");
    }
    assert_eq!(colophon.get("/readyz").await.json()["position"], 0);
    // What all of these were made from is valid.
    for token in [given.token.clone(), given.claiming(|_| ()), with("aud", json!(["elsewhere", "colophon"]))] {
        let answer = answer(colophon.anonymous(Method::POST, "/v1/books").bearer_auth(&token).json(&book("x"))).await;
        assert_eq!(answer.problem(), (422, "isbn_shape".to_owned()));
    }
}

#[tokio::test]
async fn every_write_asks_for_a_role_or_a_signature() {
    let colophon = Colophon::start().await;
    let user = colophon.token("user");
    for entry in gateway::policy::POLICY.iter().filter(|entry| entry.method != Method::GET.as_str()) {
        let path = entry.path.replace("{id}", "x").replace("{book_id}", "x");
        let request = || colophon.anonymous(entry.method.as_str().parse().unwrap(), &path);
        let unasked = answer(request()).await.problem();
        if entry.access == Access::Signed {
            assert_eq!(unasked, (401, "webhook_signature".to_owned()), "{path}");
            continue;
        }
        assert_eq!(unasked, (401, "unauthenticated".to_owned()), "{path}");
        if entry.access != Access::Own {
            let as_user = answer(request().bearer_auth(&user)).await.problem();
            assert_eq!(as_user, (403, "forbidden".to_owned()), "{path}");
        }
    }
}

#[tokio::test]
async fn closed_reads_and_a_configured_key_work_over_a_restart() {
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let closed = [("COLOPHON_AUTH__PUBLIC_READS", "false")];
    let colophon = Colophon::start_with(directory, &[], &closed).await;
    assert_eq!(colophon.get("/v1/books").await.problem().0, 401);
    for path in ["/livez", "/readyz", "/metrics", "/openapi.json"] {
        assert_eq!(colophon.get(path).await.status, 200, "{path}");
    }
    let token = colophon.token("user");
    assert_eq!(answer(colophon.anonymous(Method::GET, "/v1/books").bearer_auth(&token)).await.status, 200);
    let colophon = Colophon::start_with(colophon.stop(), &[], &closed).await;
    let again = answer(colophon.anonymous(Method::GET, "/v1/books").bearer_auth(&token)).await;
    assert_eq!(again.status, 200, "the key is the installation's, not the process's");
}
