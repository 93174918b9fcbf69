//! The token corpus: every way a token can be wrong is refused, for the reason it is wrong.

use super::signing_key::SigningKey;
use super::verifier::{MAX_TOKEN_BYTES, TokenError, Verifier};
use super::{Principal, Realm};
use crate::seam::Timestamp;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

const NOW_S: i64 = 1_800_000_000;
const NOW: Timestamp = Timestamp(NOW_S * 1_000_000);

fn realm() -> Realm {
    Realm { issuer: "colophon".to_owned(), audience: "colophon".to_owned() }
}

fn claims() -> Value {
    json!({
        "iss": "colophon", "aud": "colophon", "sub": "reader-1", "roles": ["user"],
        "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 3600
    })
}

/// A key's directory, the key as its file has it, and what verifies it.
struct Installation {
    _directory: tempfile::TempDir,
    pem: Vec<u8>,
    key: SigningKey,
    verifier: Verifier,
}

fn installation() -> Installation {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys/signing.pem");
    let key = SigningKey::load_or_create(&path).unwrap();
    let pem = std::fs::read(&path).unwrap();
    let verifier = key.verifier(realm());
    Installation { _directory: directory, pem, key, verifier }
}

impl Installation {
    fn good(&self) -> String {
        self.key.sign(&realm(), "reader-1", &["user".to_owned()], Duration::from_secs(3600), NOW)
    }

    /// Whatever the header and the claims say, signed by the installation's key.
    fn signed(&self, header: &Value, claims: &Value) -> String {
        let key = EncodingKey::from_ed_pem(&self.pem).unwrap();
        let message = format!("{}.{}", encoded(header), encoded(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
        format!("{message}.{signature}")
    }

    fn with_claims(&self, claims: &Value) -> Result<Principal, TokenError> {
        self.verifier.verify(&self.signed(&json!({"alg": "EdDSA"}), claims), NOW)
    }

    fn with_header(&self, header: &Value) -> Result<Principal, TokenError> {
        self.verifier.verify(&self.signed(header, &claims()), NOW)
    }
}

fn encoded(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

fn rsa_pem(size: KeySize) -> Vec<u8> {
    let der: Pkcs8V1Der<'_> = KeyPair::generate(size).unwrap().as_der().unwrap();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref())).into_bytes()
}

#[test]
fn a_token_of_the_installation_says_who_bears_it() {
    let installation = installation();
    let principal = installation.verifier.verify(&installation.good(), NOW).unwrap();
    assert_eq!(
        principal,
        Principal { issuer: "colophon".into(), subject: "reader-1".into(), roles: vec!["user".into()] }
    );
}

#[test]
fn a_key_of_the_users_own_may_be_rsa() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rsa.pem");
    std::fs::write(&path, rsa_pem(KeySize::Rsa2048)).unwrap();
    let key = SigningKey::load_or_create(&path).unwrap();
    let token = key.sign(&realm(), "reader-1", &[], Duration::from_secs(60), NOW);
    assert!(key.verifier(realm()).verify(&token, NOW).is_ok());
    // Its tokens mean nothing to an installation whose key is of another kind, nor the other way round.
    let other = installation();
    assert_eq!(other.verifier.verify(&token, NOW), Err(TokenError::WrongAlgorithm));
    assert_eq!(key.verifier(realm()).verify(&other.good(), NOW), Err(TokenError::WrongAlgorithm));
}

#[test]
fn only_the_keys_own_algorithm_and_signature_count() {
    let installation = installation();
    let unsigned = format!("{}.{}.", encoded(&json!({"alg": "none"})), encoded(&claims()));
    assert!(installation.verifier.verify(&unsigned, NOW).is_err());

    // The public key as a shared secret: the classic confusion of algorithms.
    let public = jsonwebtoken::jwk::Jwk::from_encoding_key(
        &EncodingKey::from_ed_pem(&installation.pem).unwrap(),
        Algorithm::EdDSA,
    );
    let Ok(jsonwebtoken::jwk::AlgorithmParameters::OctetKeyPair(public)) = public.map(|jwk| jwk.algorithm) else {
        panic!("an Ed25519 key is an octet key pair")
    };
    for secret in [URL_SAFE_NO_PAD.decode(&public.x).unwrap(), public.x.into_bytes(), installation.pem.clone()] {
        let confused = jsonwebtoken::encode(
            &jsonwebtoken::Header::new(Algorithm::HS256),
            &claims(),
            &EncodingKey::from_secret(&secret),
        );
        assert_eq!(installation.verifier.verify(&confused.unwrap(), NOW), Err(TokenError::WrongAlgorithm));
    }

    for algorithm in ["RS256", "ES256", "PS256"] {
        assert_eq!(
            installation.with_header(&json!({"alg": algorithm})),
            Err(TokenError::WrongAlgorithm),
            "{algorithm}"
        );
    }
    for algorithm in [json!("eddsa"), json!("EDDSA"), json!(""), json!(null), json!(["EdDSA"])] {
        assert!(installation.with_header(&json!({"alg": algorithm})).is_err(), "{algorithm}");
    }
    assert!(installation.with_header(&json!({"typ": "JWT"})).is_err());

    let (message, signature) = installation.good().rsplit_once('.').map(|(m, s)| (m.to_owned(), s.to_owned())).unwrap();
    let altered = format!("{}.{}.{signature}", message.split('.').next().unwrap(), encoded(&claims()));
    assert_eq!(installation.verifier.verify(&altered, NOW), Err(TokenError::WrongSignature));
    for signature in ["", "AAAA", &signature[..signature.len() - 4]] {
        assert!(installation.verifier.verify(&format!("{message}.{signature}"), NOW).is_err());
    }
}

#[test]
fn the_key_is_never_the_tokens_choice() {
    let installation = installation();
    let stranger = self::installation();
    assert_eq!(stranger.verifier.verify(&installation.good(), NOW), Err(TokenError::WrongSignature));
    let without_kid = stranger.signed(&json!({"alg": "EdDSA"}), &claims());
    assert_eq!(installation.verifier.verify(&without_kid, NOW), Err(TokenError::WrongSignature));

    for kid in ["", "1", "../../../dev/null", "keys/signing.pem", "' OR 1=1 --", "http://evil.example/key"] {
        assert_eq!(
            installation.with_header(&json!({"alg": "EdDSA", "kid": kid})),
            Err(TokenError::UnknownKey),
            "{kid}"
        );
    }
    // What else a header may name a key by is ignored: the stranger's own key does not help the stranger …
    let foreign = EncodingKey::from_ed_pem(&stranger.pem).unwrap();
    let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&foreign, Algorithm::EdDSA).unwrap();
    for header in [
        json!({"alg": "EdDSA", "jwk": jwk}),
        json!({"alg": "EdDSA", "jku": "http://evil.example/jwks.json"}),
        json!({"alg": "EdDSA", "x5u": "http://evil.example/certificate.pem"}),
        json!({"alg": "EdDSA", "x5c": ["AAAA"]}),
    ] {
        let token = stranger.signed(&header, &claims());
        assert_eq!(installation.verifier.verify(&token, NOW), Err(TokenError::WrongSignature), "{header}");
        // … and does not harm the installation.
        assert!(installation.with_header(&header).is_ok(), "{header}");
    }
    assert_eq!(
        installation.with_header(&json!({"alg": "EdDSA", "crit": ["b64"], "b64": true})),
        Err(TokenError::UnknownExtension)
    );
}

#[test]
fn every_claim_is_demanded_in_its_type() {
    let installation = installation();
    assert!(installation.with_claims(&claims()).is_ok());
    for claim in ["iss", "aud", "sub", "roles", "nbf", "exp"] {
        let mut lacking = claims();
        lacking.as_object_mut().unwrap().remove(claim);
        assert_eq!(installation.with_claims(&lacking), Err(TokenError::Malformed), "{claim}");
        let mut null = claims();
        null[claim] = Value::Null;
        assert_eq!(installation.with_claims(&null), Err(TokenError::Malformed), "{claim}");
    }
    for (claim, wrong) in [
        ("exp", json!((NOW_S + 60).to_string())),
        ("nbf", json!(true)),
        ("sub", json!(7)),
        ("sub", json!("")),
        ("roles", json!("admin")),
        ("roles", json!([1])),
        ("iss", json!(["colophon"])),
    ] {
        let mut mistyped = claims();
        mistyped[claim] = wrong;
        assert_eq!(installation.with_claims(&mistyped), Err(TokenError::Malformed), "{claim}");
    }
    for not_claims in [json!([]), json!("sub"), json!(null)] {
        assert_eq!(installation.with_claims(&not_claims), Err(TokenError::Malformed));
    }
}

#[test]
fn issuer_and_audience_are_the_installations() {
    let installation = installation();
    let with = |claim: &str, value: Value| {
        let mut changed = claims();
        changed[claim] = value;
        installation.with_claims(&changed)
    };
    assert_eq!(with("iss", json!("Colophon")), Err(TokenError::WrongIssuer));
    assert_eq!(with("aud", json!("elsewhere")), Err(TokenError::WrongAudience));
    assert_eq!(with("aud", json!([])), Err(TokenError::WrongAudience));
    assert_eq!(with("aud", json!(["elsewhere", "colophon "])), Err(TokenError::WrongAudience));
    assert!(with("aud", json!(["elsewhere", "colophon"])).is_ok());
}

#[test]
fn a_token_is_valid_from_nbf_to_exp_and_half_a_minute_around() {
    let installation = installation();
    let within = |nbf: f64, exp: f64| {
        let mut changed = claims();
        changed["nbf"] = json!(nbf);
        changed["exp"] = json!(exp);
        installation.with_claims(&changed).map(drop)
    };
    let now_s = NOW_S as f64;
    assert_eq!(within(now_s, now_s - 29.5), Ok(()));
    assert_eq!(within(now_s, now_s - 30.0), Err(TokenError::Expired));
    assert_eq!(within(now_s + 30.0, now_s + 60.0), Ok(()));
    assert_eq!(within(now_s + 30.5, now_s + 60.0), Err(TokenError::NotYetValid));
    assert_eq!(within(0.0, -1e300), Err(TokenError::Expired));
    assert_eq!(within(1e300, 1e300), Err(TokenError::NotYetValid));
    let later = Timestamp(NOW.0 + 2 * 3600 * 1_000_000);
    assert_eq!(installation.verifier.verify(&installation.good(), later), Err(TokenError::Expired));
}

#[test]
fn what_is_no_token_is_refused() {
    let installation = installation();
    let good = installation.good();
    let parts: Vec<&str> = good.split('.').collect();
    let not_tokens = [
        String::new(),
        "...".to_owned(),
        "..".to_owned(),
        parts[0].to_owned(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}."),
        format!("{good}.{}", parts[2]),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}="),
        good[..good.len() / 2].to_owned(),
        "书.店.令牌".to_owned(),
        good.replace('.', "。"),
    ];
    for token in not_tokens {
        assert!(installation.verifier.verify(&token, NOW).is_err(), "{token}");
    }
    let mut long = claims();
    long["padding"] = json!("x".repeat(MAX_TOKEN_BYTES));
    assert_eq!(installation.with_claims(&long), Err(TokenError::TooLong));
}

#[test]
fn the_key_is_made_once_for_its_owner_only_and_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data/keys/signing.pem");
    let first = SigningKey::load_or_create(&path).unwrap();
    let again = SigningKey::load_or_create(&path).unwrap();
    let token = first.sign(&realm(), "reader-1", &[], Duration::from_secs(60), NOW);
    assert!(again.verifier(realm()).verify(&token, NOW).is_ok());

    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

    let pem = std::fs::read_to_string(&path).unwrap();
    let secret = pem.lines().nth(1).unwrap();
    for shown in [format!("{first:?}"), format!("{:?}", first.verifier(realm()))] {
        assert!(!shown.contains(secret) && !shown.contains("PRIVATE"), "{shown}");
    }
}

#[test]
fn a_file_that_holds_no_usable_key_is_named_but_not_quoted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broken.pem");
    let truncated = |pem: &[u8]| pem[..pem.len() / 2].to_vec();
    for content in [b"hunter2".to_vec(), Vec::new(), truncated(&rsa_pem(KeySize::Rsa2048))] {
        std::fs::write(&path, &content).unwrap();
        let error = SigningKey::load_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("broken.pem") && !error.contains("hunter2"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), content, "a broken key is left for its owner to mend");
    }
    assert!(SigningKey::load(&directory.path().join("absent.pem")).unwrap_err().to_string().contains("absent.pem"));
}
