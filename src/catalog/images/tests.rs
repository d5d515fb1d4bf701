//! Which bodies are taken, what their names are, and how a folder and a bucket keep them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::{
    check::{Kind, Refusal, extent},
    *,
};
use crate::catalog::tests::pictures::{all, gif, jpeg, png, webp};

const MOST: usize = 8_000;

#[test]
fn each_format_is_taken_and_said_to_be_another_refused() {
    for (kind, bytes) in all(640, 480) {
        assert_eq!(extent(&bytes, kind, MOST), Ok(bytes.len()), "{kind:?}");
        for other in Kind::ALL.into_iter().filter(|other| *other != kind) {
            assert_eq!(extent(&bytes, other, MOST), Err(Refusal::Other(kind)));
        }
    }
}

/// Made by other programs, as they come.
#[test]
fn files_of_other_programs_are_taken() {
    for (kind, text) in [
        (
            Kind::Png,
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==",
        ),
        (
            Kind::Gif,
            "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7",
        ),
        (
            Kind::WebP,
            "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA",
        ),
        (
            Kind::WebP,
            "UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==",
        ),
    ] {
        let bytes = BASE64_STANDARD.decode(text).unwrap();
        assert_eq!(extent(&bytes, kind, MOST), Ok(bytes.len()), "{kind:?}");
    }
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    for (kind, bytes) in all(3, 2) {
        for length in 0..bytes.len() {
            let refused = extent(&bytes[..length], kind, MOST).unwrap_err();
            assert!(
                matches!(refused, Refusal::Unknown | Refusal::Damaged(_)),
                "{kind:?} cut at {length}: {refused}"
            );
        }
    }
}

#[test]
fn a_png_of_which_one_bit_is_wrong_is_refused() {
    let bytes = png(3, 2);
    for place in 8..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        assert!(extent(&damaged, Kind::Png, MOST).is_err(), "byte {place}");
    }
}

#[test]
fn what_follows_the_end_is_none_of_the_image() {
    for (kind, bytes) in all(3, 2) {
        let longer = [bytes.clone(), b"PK\x03\x04 another file".to_vec()].concat();
        assert_eq!(extent(&longer, kind, MOST), Ok(bytes.len()), "{kind:?}");
    }
}

#[test]
fn markup_is_refused_wherever_it_stands() {
    for page in [
        "<script>alert(1)</script>",
        "<SCRIPT src=//x>",
        "<!DOCTYPE html>",
        "<html><body>",
        "<svg xmlns='http://www.w3.org/2000/svg'/>",
        "<svg onload=alert(1)>",
    ] {
        for (kind, bytes) in all(3, 2) {
            assert_eq!(
                extent(page.as_bytes(), kind, MOST),
                Err(Refusal::Unknown),
                "{page} as {kind:?}"
            );
            let behind = [&bytes[..], page.as_bytes()].concat();
            assert_eq!(extent(&behind, kind, MOST), Err(Refusal::Markup));
        }
        // In a comment: `GIF89a`, screen, comment, then the rest.
        let whole = gif(3, 2);
        let (head, tail) = whole.split_at(13);
        let length = u8::try_from(page.len()).unwrap();
        let comment = [&[0x21, 0xFE, length], page.as_bytes(), &[0]].concat();
        let inside = [head, &comment, tail].concat();
        assert_eq!(extent(&inside, Kind::Gif, MOST), Err(Refusal::Markup));
    }
    // The metadata of a picture is XML too.
    let described = [&png(3, 2)[..], b"<x:xmpmeta><rdf:RDF/></x:xmpmeta>"].concat();
    assert!(extent(&described, Kind::Png, MOST).is_ok());
}

#[test]
fn a_picture_that_unpacks_to_gigabytes_is_refused_by_what_it_says() {
    for (kind, bytes) in [
        (Kind::Png, png(2_000_000_000, 1)),
        (Kind::Png, png(1, 8_001)),
        (Kind::Jpeg, jpeg(65_000, 65_000)),
        (Kind::Gif, gif(65_535, 65_535)),
        (Kind::WebP, webp(16_000_000, 9)),
        (Kind::Png, png(0, 5)),
        (Kind::Gif, gif(5, 0)),
    ] {
        let refused = extent(&bytes, kind, MOST).unwrap_err();
        assert!(
            matches!(refused, Refusal::Size { .. }),
            "{kind:?}: {refused}"
        );
    }
    assert!(extent(&png(8_000, 8_000), Kind::Png, MOST).is_ok());
}

#[test]
fn a_file_without_pixels_is_no_image() {
    let whole = png(3, 2);
    let without = [&whole[..33], &whole[whole.len() - 12..]].concat();
    assert_eq!(
        extent(&without, Kind::Png, MOST),
        Err(Refusal::Damaged(Kind::Png))
    );
    let gif = gif(3, 2);
    let without = [&gif[..13], b";"].concat();
    assert_eq!(
        extent(&without, Kind::Gif, MOST),
        Err(Refusal::Damaged(Kind::Gif))
    );
}

proptest! {
    /// Whatever is damaged in a file, and however: an answer, and never beyond the file.
    #[test]
    fn damage_is_answered(
        which in 0_usize..4,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let (kind, mut bytes) = all(300, 200).swap_remove(which);
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Ok(length) = extent(&bytes, kind, MOST) {
            prop_assert!(length <= bytes.len());
        }
    }
}

#[test]
fn a_name_is_a_digest_and_a_format_and_nothing_else() {
    let name = ImageName::of(b"x", Kind::Jpeg);
    assert_eq!(name.to_string().parse(), Ok(name.clone()));
    let digest = &name.digest;
    for other in [
        String::new(),
        "../etc/passwd".into(),
        digest.clone(),
        format!("{digest}.svg"),
        format!("{digest}.jpeg"),
        format!("{}.jpg", digest.to_uppercase()),
        format!("{digest}0.jpg"),
        format!("../{}.jpg", &digest[3..]),
        format!("{digest}.jpg.png"),
    ] {
        assert_eq!(other.parse::<ImageName>(), Err(()), "{other}");
    }
}

fn configured(pairs: &[(&str, &str)]) -> ImagesConfig {
    crate::catalog::tests::configured_with("test_images", pairs).images
}

async fn keep(images: &Images, bytes: Bytes, said: Kind) -> Result<ImageName, Problem> {
    let (name, bytes) = images.checked(bytes, said).await?;
    images.store.put(&name, bytes).await?;
    Ok(name)
}

/// Removes a picture twice: the rule of every store.
async fn removes(images: &Images, name: &ImageName) {
    for _ in 0..2 {
        images.store.remove(name).await.unwrap();
        assert!(images.store.get(name).await.unwrap().is_none());
    }
}

/// Keeps a picture twice and reads it: the rule of every store.
async fn keeps(images: &Images) -> ImageName {
    let bytes = Bytes::from(png(3, 2));
    let absent = ImageName::of(b"absent", Kind::Png);
    assert!(images.store.get(&absent).await.unwrap().is_none());
    let name = keep(images, bytes.clone(), Kind::Png).await.unwrap();
    assert_eq!(name, keep(images, bytes.clone(), Kind::Png).await.unwrap());
    assert_eq!(images.store.get(&name).await.unwrap(), Some(bytes));
    name
}

#[actix_web::test]
async fn a_folder_holds_whole_pictures_only() {
    let folder = std::env::temp_dir().join(format!("bodega-images-{}", bson::oid::ObjectId::new()));
    let path = folder.join("below").display().to_string();
    let images = Images::open(&configured(&[("DIR", &path)])).unwrap();
    let name = keeps(&images).await;
    let files = std::fs::read_dir(&path).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, [name.to_string().as_str()], "and nothing beside it");
    removes(&images, &name).await;
    std::fs::remove_dir_all(&folder).unwrap();
    // A file where the folder should be.
    std::fs::write(&folder, "x").unwrap();
    let broken = keep(&images, gif(3, 2).into(), Kind::Gif)
        .await
        .unwrap_err();
    assert_eq!(broken.code(), Code::Unavailable);
    std::fs::remove_file(&folder).unwrap();
}

const KEY_ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A bucket as S3 keeps one, checking each signature by the secret.
#[derive(Default)]
struct Bucket {
    objects: Mutex<HashMap<String, (String, Bytes)>>,
    /// The method and path of each request that was in order.
    asked: Mutex<Vec<String>>,
}

async fn answer(request: HttpRequest, body: Bytes, bucket: web::Data<Bucket>) -> HttpResponse {
    if !is_signed(&request) {
        return HttpResponse::Forbidden().finish();
    }
    let asked = format!("{} {}", request.method(), request.path());
    bucket.asked.lock().unwrap().push(asked);
    let mut objects = bucket.objects.lock().unwrap();
    let path = request.path().to_owned();
    match request.method().as_str() {
        "PUT" => {
            let header = |name| request.headers().get(name).unwrap().to_str().unwrap();
            assert_eq!(header("content-length"), body.len().to_string());
            objects.insert(path, (header("content-type").to_owned(), body));
            HttpResponse::Ok().finish()
        }
        "GET" => match objects.get(&path) {
            Some((kind, bytes)) => HttpResponse::Ok()
                .content_type(kind.as_str())
                .body(bytes.clone()),
            None => HttpResponse::NotFound().body("<Error><Code>NoSuchKey</Code></Error>"),
        },
        "DELETE" => {
            objects.remove(&path);
            HttpResponse::NoContent().finish()
        }
        other => panic!("{other}"),
    }
}

/// AWS Signature Version 4 with the parameters in the query, as the S3 documentation has it.
fn is_signed(request: &HttpRequest) -> bool {
    let mut query: BTreeMap<&str, &str> = request
        .query_string()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let Some(signature) = query.remove("X-Amz-Signature") else {
        return false;
    };
    let (signed, at) = (query["X-Amz-SignedHeaders"], query["X-Amz-Date"]);
    let day = &at[..8];
    let scope = format!("{day}/eu-test-1/s3/aws4_request");
    let credential = format!("{KEY_ID}/{scope}").replace('/', "%2F");
    assert_eq!(query["X-Amz-Credential"], credential);
    let joined: Vec<String> = query.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let names = signed.replace("%3B", ";");
    let headers = names.split(';').fold(String::new(), |lines, name| {
        let value = request.headers().get(name).unwrap().to_str().unwrap();
        format!("{lines}{name}:{value}\n")
    });
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{names}\nUNSIGNED-PAYLOAD",
        request.method(),
        request.path(),
        joined.join("&"),
    );
    let digest = hex(&Sha256::digest(canonical), DIGEST);
    let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{digest}");
    let mac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let first = mac(format!("AWS4{SECRET}").as_bytes(), day);
    let parts = ["eu-test-1", "s3", "aws4_request"];
    let key = parts.iter().fold(first, |key, part| mac(&key, part));
    hex(&mac(&key, &text), DIGEST) == signature
}

#[actix_web::test]
async fn a_bucket_is_asked_with_signed_requests() {
    let bucket = web::Data::from(Arc::new(Bucket::default()));
    let shared = bucket.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .app_data(web::PayloadConfig::new(8 << 20))
            .default_service(web::to(answer))
    });
    let server = server.workers(1).disable_signals();
    let server = server.bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", server.addrs()[0]);
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    let with_secret = |secret: &str| {
        let pairs = [
            ("S3_ENDPOINT", endpoint.as_str()),
            ("S3_BUCKET", "pictures"),
            ("S3_REGION", "eu-test-1"),
            ("S3_ACCESS_KEY_ID", KEY_ID),
            ("S3_SECRET_ACCESS_KEY", secret),
        ];
        Images::open(&configured(&pairs)).unwrap()
    };
    let images = with_secret(SECRET);
    let name = keeps(&images).await;
    let path = format!("/pictures/{name}");
    let absent = ImageName::of(b"absent", Kind::Png);
    assert_eq!(
        *bucket.asked.lock().unwrap(),
        [
            format!("GET /pictures/{absent}"),
            format!("PUT {path}"),
            format!("PUT {path}"),
            format!("GET {path}"),
        ]
    );
    let (kind, bytes) = bucket.objects.lock().unwrap()[&path].clone();
    assert_eq!((kind.as_str(), &bytes[..]), ("image/png", &png(3, 2)[..]));

    let wrong = with_secret("another secret");
    let refused = keep(&wrong, bytes, Kind::Png).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let cause = refused.cause().unwrap().to_string();
    assert!(cause.contains("403"), "{cause}");
    // What others put there is held against the limit.
    let large = Bytes::from(vec![0; 6 << 20]);
    let entry = ("image/png".to_owned(), large);
    bucket.objects.lock().unwrap().insert(path, entry);
    assert!(images.store.get(&name).await.is_err());
    removes(&images, &name).await;

    handle.stop(true).await;
    let gone = images.store.get(&name).await.unwrap_err().to_string();
    assert!(!gone.contains("X-Amz"), "no signed address: {gone}");
}
