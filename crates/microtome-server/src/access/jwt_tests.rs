//! JSON Web Tokens: signed here by an identity provider of the tests' own, and the standard's examples.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use proptest::prelude::*;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    KeyPair,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::access::jwks::KeySetError;
use crate::access::jwt::{JwtConfig, Refused, Tokens};
use crate::access::{Grant, jwt_crypto, now};

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key pair of the provider's.
struct Signer {
    id: &'static str,
    pair: EcdsaKeyPair,
    algorithm: &'static str,
    curve: &'static str,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        Self::with(id, &ECDSA_P256_SHA256_FIXED_SIGNING, "ES256", "P-256")
    }

    fn with(
        id: &'static str,
        signing: &'static EcdsaSigningAlgorithm,
        algorithm: &'static str,
        curve: &'static str,
    ) -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(signing, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(signing, key.as_ref(), &random).expect("a key");
        Self { id, pair, algorithm, curve }
    }

    fn jwk(&self) -> Value {
        let point = &self.pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        json!({"kty": "EC", "crv": self.curve, "kid": self.id, "use": "sig", "x": base64(x), "y": base64(y)})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).expect("a signature");
        format!("{message}.{}", base64(signature))
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": self.algorithm, "typ": "JWT", "kid": self.id}), claims)
    }
}

/// A provider with its set of keys in a file, and a server that trusts it.
struct Provider {
    _folder: TempDir,
    file: PathBuf,
    tokens: Tokens,
}

impl Provider {
    fn new(keys: &[Value], audience: Option<&str>, issuer: Option<&str>) -> Result<Self, KeySetError> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("keys.json");
        std::fs::write(&file, json!({ "keys": keys }).to_string()).expect("a file");
        let config = JwtConfig {
            jwks: file.display().to_string(),
            audience: audience.map(str::to_owned),
            issuer: issuer.map(str::to_owned),
        };
        Ok(Self { _folder: folder, file, tokens: Tokens::new(&config)? })
    }

    fn of(signers: &[&Signer]) -> Self {
        let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
        Self::new(&keys, None, None).expect("keys")
    }

    fn open(&self, token: &str) -> Result<Grant, String> {
        self.tokens.open(token, now()).map_err(|refused| refused.to_string())
    }
}

fn good() -> Value {
    json!({"exp": now() + 1000, "microtome": ["case/", "a"]})
}

fn scopes(scopes: &[&str]) -> Grant {
    Grant::of(scopes.iter().map(|scope| scope.parse().expect("a scope")).collect())
}

/// `good` with one claim changed; null takes it away.
fn but(name: &str, value: Value) -> Value {
    let mut claims = good();
    match value {
        Value::Null => _ = claims.as_object_mut().expect("an object").remove(name),
        value => claims[name] = value,
    }
    claims
}

#[test]
fn a_good_token_opens_what_its_claim_says() {
    let signers =
        [Signer::new("one"), Signer::with("two", &ECDSA_P384_SHA384_FIXED_SIGNING, "ES384", "P-384")];
    let provider = Provider::of(&signers.each_ref());
    for signer in &signers {
        for _again in 0..2 {
            assert_eq!(provider.open(&signer.token(&good())), Ok(scopes(&["case/", "a"])), "{}", signer.id);
        }
        assert_eq!(
            provider.open(&signer.token(&but("microtome", json!("case 1/a")))),
            Ok(scopes(&["case 1/a"]))
        );
        assert_eq!(provider.open(&signer.token(&but("nbf", json!(now() - 5)))), Ok(scopes(&["case/", "a"])));
    }
}

#[test]
fn a_token_without_scopes_opens_nothing() {
    let signer = Signer::new("one");
    let provider = Provider::of(&[&signer]);
    for claim in
        [Value::Null, json!([]), json!(""), json!(["a", "../b"]), json!(["//"]), json!(vec!["a"; 257])]
    {
        let refused = provider.open(&signer.token(&but("microtome", claim.clone()))).expect_err("no scope");
        assert!(refused.contains("claim `microtome`"), "{claim}: {refused}");
    }
    for claim in [json!(1), json!({"a": 1}), json!([1])] {
        assert!(provider.open(&signer.token(&but("microtome", claim))).is_err());
    }
}

#[test]
fn times_are_kept_with_half_a_minutes_patience() {
    let signer = Signer::new("one");
    let provider = Provider::of(&[&signer]);
    for (name, value, reason) in [
        ("exp", json!(now() - 100), "expired"),
        ("exp", json!(0), "expired"),
        ("exp", json!("tomorrow"), "read"),
        ("exp", Value::Null, "read"),
        ("nbf", json!(now() + 100), "not good yet"),
        ("nbf", json!("x"), "read"),
    ] {
        let refused = provider.open(&signer.token(&but(name, value.clone()))).expect_err("refused");
        assert!(refused.contains(reason), "{name} {value}: {refused}");
    }
    assert!(provider.open(&signer.token(&but("exp", json!(now() - 5)))).is_ok());
    assert!(provider.open(&signer.token(&but("nbf", json!(now() + 5)))).is_ok());
}

#[test]
fn audience_and_issuer_are_whom_the_settings_say() {
    let signer = Signer::new("one");
    let strict = Provider::new(&[signer.jwk()], Some("slides"), Some("https://id")).expect("keys");
    let claims = |aud: Value, iss: Value| {
        let mut claims = good();
        (claims["aud"], claims["iss"]) = (aud, iss);
        signer.token(&claims)
    };
    assert!(strict.open(&claims(json!("slides"), json!("https://id"))).is_ok());
    assert!(strict.open(&claims(json!(["x", "slides"]), json!("https://id"))).is_ok());
    for (aud, iss, reason) in [
        (json!("other"), json!("https://id"), "aud"),
        (json!(["x"]), json!("https://id"), "aud"),
        (json!([]), json!("https://id"), "aud"),
        (Value::Null, json!("https://id"), "aud"),
        (json!(5), json!("https://id"), "aud"),
        (json!("slides"), json!("https://id/"), "iss"),
        (json!("slides"), Value::Null, "iss"),
    ] {
        let refused = strict.open(&claims(aud.clone(), iss.clone())).expect_err("refused");
        assert!(refused.contains(reason), "{aud} {iss}: {refused}");
    }
    // A token for someone is not for a server that has no name (RFC 7519, 4.1.3).
    assert!(Provider::of(&[&signer]).open(&claims(json!("slides"), json!("x"))).is_err());
}

#[test]
fn the_key_says_which_algorithm_it_is_for() {
    let signer = Signer::new("one");
    let provider = Provider::of(&[&signer]);
    let head = |algorithm: &str| base64(json!({"alg": algorithm, "kid": "one"}).to_string());
    let claims = base64(good().to_string());
    // Nothing, and what the public key itself would prove if it were taken for a shared secret.
    for algorithm in ["none", "None", "HS256", "HS384", "HS512", "", "RS256", "ES384", "EdDSA", "PS256"] {
        let message = format!("{}.{claims}", head(algorithm));
        let public = signer.jwk();
        for secret in [signer.pair.public_key().as_ref(), public.to_string().as_bytes(), b""] {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let code = base64(hmac::sign(&key, message.as_bytes()));
            assert!(provider.open(&format!("{message}.{code}")).is_err(), "{algorithm}");
        }
        assert!(provider.open(&format!("{message}.")).is_err(), "{algorithm}");
        let signed = signer.sign(&json!({"alg": algorithm, "kid": "one"}), &good());
        assert!(provider.open(&signed).is_err(), "{algorithm}");
    }
    let mut wrong = signer.jwk();
    for algorithm in ["ES384", "RS256", "HS256", "RSA-OAEP", "dir"] {
        wrong["alg"] = json!(algorithm);
        assert!(
            matches!(Provider::new(&[wrong.clone()], None, None), Err(KeySetError::NoKeys(_))),
            "{algorithm}"
        );
    }
    wrong["alg"] = json!("ES256");
    assert!(Provider::new(&[wrong], None, None).expect("a key").open(&signer.token(&good())).is_ok());
}

#[test]
fn only_keys_for_signatures_are_taken_and_secrets_never() {
    let signer = Signer::new("one");
    let secret =
        json!({"kty": "oct", "kid": "s", "k": base64("a shared secret that all can read"), "alg": "HS256"});
    let mut encryption = signer.jwk();
    encryption["use"] = json!("enc");
    let odd = json!({"kty": "EC", "crv": "secp256k1", "kid": "x", "x": "AA", "y": "AA"});
    for keys in [
        &[][..],
        std::slice::from_ref(&secret),
        std::slice::from_ref(&encryption),
        std::slice::from_ref(&odd),
        &[json!({"kty": "new"})],
    ] {
        assert!(matches!(Provider::new(keys, None, None), Err(KeySetError::NoKeys(_))), "{keys:?}");
    }
    let mixed = Provider::new(&[secret, encryption, odd, signer.jwk()], None, None).expect("one key");
    assert!(mixed.open(&signer.token(&good())).is_ok());
    let message =
        format!("{}.{}", base64(json!({"alg": "HS256", "kid": "s"}).to_string()), base64(good().to_string()));
    let code = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, b"a shared secret that all can read"),
        message.as_bytes(),
    );
    assert!(mixed.open(&format!("{message}.{}", base64(code))).is_err());
}

#[test]
fn a_token_is_its_keys_alone() {
    let (one, other) = (Signer::new("one"), Signer::new("other"));
    let provider = Provider::of(&[&one, &other]);
    let nameless = json!({"alg": "ES256"});
    assert!(provider.open(&one.sign(&json!({"alg": "ES256", "kid": "other"}), &good())).is_err());
    assert!(provider.open(&Signer::new("one").token(&good())).is_err());
    assert!(provider.open(&one.sign(&nameless, &good())).is_err(), "which key, of two?");
    assert!(Provider::of(&[&one]).open(&one.sign(&nameless, &good())).is_ok());
    assert!(Provider::of(&[&one]).open(&other.sign(&nameless, &good())).is_err());
    let critical = one.sign(&json!({"alg": "ES256", "kid": "one", "crit": ["b64"], "b64": false}), &good());
    assert!(provider.open(&critical).expect_err("refused").contains("crit"));
    // A key that the token brings along is not looked at.
    let stranger = Signer::new("one");
    let bringing = json!({"alg": "ES256", "kid": "one", "jwk": stranger.jwk()});
    assert!(provider.open(&stranger.sign(&bringing, &good())).is_err());
    for text in ["", ".", "..", "...", "a.b.c", &"x".repeat(10_000), "e30.e30.", "e30.e30.e30.e30"] {
        assert!(provider.open(text).is_err(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_changed_character_of_a_token_is_noticed(at in 0_usize..1000, to in "[A-Za-z0-9._-]") {
        let signer = Signer::new("one");
        let provider = Provider::of(&[&signer]);
        let token = signer.token(&good());
        let at = at % token.len();
        let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
        prop_assert_eq!(provider.open(&changed).is_ok(), changed == token);
    }
}

#[tokio::test(start_paused = true)]
async fn new_keys_are_fetched_when_asked_for_and_old_ones_end() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let provider = std::sync::Arc::new(Provider::of(&[&old]));
    let fresh = std::sync::Arc::clone(&provider);
    let upkeep = tokio::spawn(async move { fresh.tokens.keep_fresh().await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    let tokens = [old.token(&good()), new.token(&good())];
    let opened = || tokens.each_ref().map(|token| provider.open(token).is_ok());
    assert_eq!(opened(), [true, false]);
    // Damaged for a while: the keys that were there go on.
    std::fs::write(&provider.file, "{").expect("a file");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(opened(), [true, false]);
    std::fs::write(&provider.file, json!({"keys": [new.jwk()]}).to_string()).expect("a file");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(opened(), [false, true], "also for the token that was good before");
    upkeep.abort();
}

#[test]
fn before_there_are_keys_nothing_is_decided() {
    let config = JwtConfig { jwks: "http://127.0.0.1:9/keys".to_owned(), audience: None, issuer: None };
    let tokens = Tokens::new(&config).expect("a client");
    let refused = tokens.open(&Signer::new("one").token(&good()), now());
    assert!(matches!(refused, Err(Refused::NoKeys)));
}

#[test]
fn a_file_that_is_no_set_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.json");
    let complaint = || {
        let config = JwtConfig { jwks: file.display().to_string(), audience: None, issuer: None };
        crate::error::Chain(&Tokens::new(&config).expect_err("no keys")).to_string()
    };
    assert!(complaint().contains("keys.json: cannot be read"), "{}", complaint());
    for text in ["", "[]", "{\"keys\": 1}", "-----BEGIN PUBLIC KEY-----"] {
        std::fs::write(&file, text).expect("a file");
        assert!(complaint().contains("keys.json: is to be a JWK set"), "{}", complaint());
    }
    std::fs::write(&file, " ".repeat(2 << 20)).expect("a file");
    assert!(complaint().contains("at most 1 MiB"), "{}", complaint());
}

/// The examples of RFC 7515, A.2 (RS256) and A.3 (ES256), and RFC 8037, A.4 (EdDSA): key, message, signature.
#[test]
fn the_standards_examples_hold() {
    jwt_crypto::install();
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs\
             D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV\
             MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    let claims =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let rsa = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQj\
               bKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZES\
               c6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let ec = (
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    );
    let ed = (
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );
    let rs256 = format!("eyJhbGciOiJSUzI1NiJ9.{claims}");
    let es256 = format!("eyJhbGciOiJFUzI1NiJ9.{claims}");
    for (algorithm, key, message, signature) in [
        (Algorithm::RS256, DecodingKey::from_rsa_components(n, "AQAB"), rs256.as_str(), rsa),
        (Algorithm::ES256, DecodingKey::from_ec_components(ec.0, ec.1), &es256, ec.2),
        (Algorithm::EdDSA, DecodingKey::from_ed_components(ed.0), ed.1, ed.2),
    ] {
        let key = key.expect("a key");
        let verify = |message: &str, signature: &str, algorithm| {
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, algorithm).unwrap_or(false)
        };
        assert!(verify(message, signature, algorithm), "{algorithm:?}");
        assert!(!verify(&message[1..], signature, algorithm), "{algorithm:?}");
        for other in [Algorithm::HS256, Algorithm::RS384, Algorithm::PS256, Algorithm::ES384] {
            assert!(!verify(message, signature, other), "{algorithm:?} as {other:?}");
        }
    }
}
