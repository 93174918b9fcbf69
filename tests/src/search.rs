//! Finding books over HTTP: what is found, counted, ordered and suggested, and what becomes of the index.

use crate::colophon::{Answer, Colophon, answer, isbn};
use crate::shop::{Customer, line, pay, until};
use reqwest::Method;
use serde_json::{Value, json};

/// Title, author, language, subject, price in CNY, date.
type Entry = (&'static str, &'static str, &'static str, &'static str, Option<u64>, &'static str);

const BOOKS: [Entry; 8] = [
    ("The Typesetter's Daughter", "Ada Quill", "en", "FBA", Some(4_200), "2019-03"),
    ("Daughters of Ink", "Ira Folio", "en-GB", "FBA", Some(3_850), "2021"),
    ("A Short History of Margins", "Nell Octavo", "en", "NHTB", Some(6_900), "2016-10-04"),
    ("Ligne & <marge>", "Odile Fèvre", "fr", "AKL", None, "2015"),
    ("書頁之間", "沈芸書", "zh-Hant", "FBA", Some(5_200), "2018"),
    ("印刷史小札", "林素简", "zh-Hans", "NHTB", Some(6_600), "2022-01-15"),
    ("Python编程札记", "周版", "zh-Hans", "UMX", Some(8_800), "2024-02"),
    ("1984 in Type", "Wim Vellum", "en", "AKL", Some(1_000), "1984"),
];

/// Registers the books; answers with their ids and the position that shows them all.
async fn filled(colophon: &Colophon) -> (Vec<String>, u64) {
    let (mut ids, mut position) = (Vec::new(), 0);
    for (n, (title, author, language, subject, price, date)) in (0..).zip(BOOKS) {
        let mut body = json!({
            "isbn": isbn(n), "title": title, "authors": [author], "language": language, "published_on": date,
            "subjects": [{"scheme": "thema", "version": "1.5", "code": subject}],
        });
        if let Some(price) = price {
            body["price"] = json!({"amount": price, "currency": "CNY"});
        }
        let registered = colophon.post("/v1/books", &body).await;
        assert_eq!(registered.status, 201, "{registered:?}");
        ids.push(registered.json()["id"].as_str().unwrap().to_owned());
        position = registered.position();
    }
    (ids, position)
}

fn titles(found: &Answer) -> Vec<String> {
    assert_eq!(found.status, 200, "{found:?}");
    let body = found.json();
    body["hits"].as_array().unwrap().iter().map(|hit| hit["book"]["title"].as_str().unwrap().to_owned()).collect()
}

async fn search(colophon: &Colophon, query: &[(&str, &str)]) -> Answer {
    answer(colophon.anonymous(Method::GET, "/v1/search").query(query)).await
}

#[tokio::test]
async fn what_was_written_is_found_at_its_position() {
    let colophon = Colophon::start().await;
    let (ids, position) = filled(&colophon).await;
    let found = colophon.get_at("/v1/search?q=daughter", position).await;
    assert_eq!(titles(&found), ["The Typesetter's Daughter", "Daughters of Ink"]);
    assert!(found.position() >= position);
    let hit = &found.json()["hits"][0];
    assert_eq!(hit["book"], colophon.get(&format!("/v1/books/{}", ids[0])).await.json(), "the body of the book");
    assert_eq!(hit["highlights"], json!({"title": "The Typesetter&#39;s <em>Daughter</em>"}));
    assert!(hit["score"].as_f64().unwrap() > 0.0);
    for (text, first) in [
        ("typestter", "The Typesetter's Daughter"),
        ("ada daugh", "The Typesetter's Daughter"),
        ("书页", "書頁之間"),
        ("沈芸书", "書頁之間"),
        ("刷史", "印刷史小札"),
        ("札", "印刷史小札"),
        ("python 編程", "Python编程札记"),
        ("fevre", "Ligne & <marge>"),
        (&isbn(2), "A Short History of Margins"),
    ] {
        assert_eq!(titles(&search(&colophon, &[("q", text)]).await).first().map(String::as_str), Some(first), "{text}");
    }
    let escaped = search(&colophon, &[("q", "marge")]).await.json();
    assert_eq!(escaped["hits"][0]["highlights"]["title"], "Ligne &amp; &lt;<em>marge</em>&gt;");

    let revised = answer(
        colophon
            .manager(Method::PATCH, &format!("/v1/books/{}", ids[0]))
            .header("If-Match", "\"1\"")
            .json(&json!({"title": "The Compositor's Son"})),
    )
    .await;
    let found = colophon.get_at("/v1/search?q=compositor", revised.position()).await;
    assert_eq!(titles(&found), ["The Compositor's Son"]);
    assert_eq!(titles(&search(&colophon, &[("q", "typesetter")]).await), Vec::<String>::new());
    let retired = colophon.post(&format!("/v1/books/{}/retirement", ids[0]), &json!({})).await;
    let found = colophon.get_at("/v1/search?q=compositor", retired.position()).await.json();
    assert_eq!((&found["total"], &found["hits"]), (&json!(0), &json!([])), "a retired book is not found");
}

#[tokio::test]
async fn facets_count_the_whole_result_and_work_as_filters() {
    let colophon = Colophon::start().await;
    let (_, position) = filled(&colophon).await;
    let all = colophon.get_at("/v1/search?limit=1", position).await.json();
    assert_eq!(all["total"], 8);
    let facets = &all["facets"];
    assert_eq!(facets["language"][0], json!({"value": "en", "count": 3}));
    assert_eq!(facets["subject"][0], json!({"value": "FBA", "count": 3}));
    for name in ["language", "subject"] {
        for facet in facets[name].as_array().unwrap() {
            let filtered = search(&colophon, &[(name, facet["value"].as_str().unwrap())]).await.json();
            assert_eq!(filtered["total"], facet["count"], "{facet}");
        }
    }
    let both = search(&colophon, &[("language", "en"), ("subject", "FBA")]).await;
    assert_eq!(titles(&both), ["The Typesetter's Daughter"]);
    let priced = search(&colophon, &[("price_min", "4200"), ("price_max", "6600"), ("sort", "price_asc")]).await;
    assert_eq!(titles(&priced), ["The Typesetter's Daughter", "書頁之間", "印刷史小札"], "both ends are included");
    assert_eq!(search(&colophon, &[("price_min", "5"), ("price_max", "4")]).await.json()["total"], 0);
}

#[tokio::test]
async fn every_order_has_its_pages() {
    let colophon = crate::shop::open("900").await;
    let (ids, position) = filled(&colophon).await;
    assert_eq!(colophon.adjust(&ids[3], 1).await.status, 200);
    assert_eq!(colophon.adjust(&ids[2], 9).await.status, 200);
    let ann = Customer::new(&colophon, "ann");
    let order = ann.held(&colophon, "k", &ids[2], 5).await;
    assert_eq!(pay(&colophon, "p", &order, 5 * 6_900).await.status, 200);
    until(&colophon, &order, "paid").await;
    let position = position.max(colophon.get("/readyz").await.json()["position"].as_u64().unwrap());

    let titles_by = async |sort: &str| {
        let (mut all, mut path) = (Vec::new(), format!("/v1/search?sort={sort}&limit=3"));
        loop {
            let page = colophon.get_at(&path, position).await;
            all.extend(titles(&page));
            let Some(cursor) = page.json()["next_cursor"].as_str().map(str::to_owned) else {
                assert_eq!(page.header("link"), "");
                return all;
            };
            let link = page.header("link").to_owned();
            path = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap().to_owned();
            assert!(path.contains(&cursor), "{link}");
        }
    };
    let cheapest = titles_by("price_asc").await;
    assert_eq!((cheapest.len(), cheapest[0].as_str(), cheapest[7].as_str()), (8, "1984 in Type", "Ligne & <marge>"));
    let dearest = titles_by("price_desc").await;
    assert_eq!((dearest[0].as_str(), dearest[7].as_str()), ("Python编程札记", "Ligne & <marge>"));
    let newest = titles_by("newest").await;
    assert_eq!((newest[0].as_str(), newest[7].as_str()), ("Python编程札记", "1984 in Type"));
    assert_eq!(titles_by("popular").await[0], "A Short History of Margins");
    assert_eq!(titles_by("relevance").await.len(), 8);
    let suggested = colophon.get_at("/v1/suggestions?q=a", position).await.json();
    assert_eq!(suggested["items"][0], json!({"text": "A Short History of Margins"}), "what sold best");
}

#[tokio::test]
async fn prices_in_several_currencies_are_not_compared() {
    let colophon = Colophon::start().await;
    let (_, _) = filled(&colophon).await;
    let body = json!({"isbn": isbn(50), "title": "A Dollar Book", "authors": ["Ann"], "language": "en",
                      "price": {"amount": 1, "currency": "USD"}});
    let position = colophon.post("/v1/books", &body).await.position();
    for query in ["sort=price_asc", "sort=price_desc", "price_min=1"] {
        let refused = colophon.get_at(&format!("/v1/search?{query}"), position).await;
        assert_eq!(refused.problem(), (422, "currency_needed".to_owned()), "{query}");
        assert!(refused.json()["detail"].as_str().unwrap().contains("CNY, USD"), "{refused:?}");
        let within = colophon.get(&format!("/v1/search?{query}&currency=USD")).await;
        assert_eq!(titles(&within), ["A Dollar Book"], "{query}");
    }
    assert_eq!(search(&colophon, &[("sort", "price_asc"), ("q", "daughter")]).await.status, 200, "these have one only");
}

#[tokio::test]
async fn what_is_typed_is_never_wrong_and_what_else_is_asked_may_be() {
    let colophon = Colophon::start().await;
    let (_, position) = filled(&colophon).await;
    colophon.get_at("/v1/search", position).await;
    let (letters, words, characters) = ("a".repeat(5_000), "daughter ".repeat(555), "書".repeat(5_000));
    for text in [
        "AND",
        "OR NOT",
        "title:",
        "*",
        "?",
        "\"",
        "“",
        "(",
        "[1 TO 2]",
        "a\\",
        "\0",
        "🙂",
        "'; DROP TABLE",
        "%",
        "&q=x",
        letters.as_str(),
        words.as_str(),
        characters.as_str(),
    ] {
        for path in ["/v1/search", "/v1/suggestions"] {
            let found = answer(colophon.anonymous(Method::GET, path).query(&[("q", text)])).await;
            assert_eq!(found.status, 200, "{path} {:.20}", text);
        }
    }
    for query in [
        "sort=best",
        "limit=0",
        "limit=101",
        "limit=x",
        "cursor=x",
        "cursor=AAAAAAAAAAA",
        "price_min=-1",
        "price_max=1.5",
        "price_min=99999999999999999999",
        "price_min=%2B1",
    ] {
        let refused = colophon.get(&format!("/v1/search?{query}")).await;
        assert_eq!(refused.problem(), (400, "malformed".to_owned()), "{query}");
    }
    assert_eq!(colophon.get("/v1/search?currency=XXQ").await.problem(), (422, "currency".to_owned()));
    for query in ["", "q=", "sort=&limit=&cursor=&price_min=&language="] {
        assert_eq!(colophon.get(&format!("/v1/search?{query}")).await.json()["total"], 8, "{query}");
    }
    let nothing = search(&colophon, &[("q", "daughter qqqq")]).await.json();
    assert_eq!((&nothing["total"], &nothing["did_you_mean"]), (&json!(0), &json!(["daughter"])));
    for other in nothing["did_you_mean"].as_array().unwrap() {
        assert!(search(&colophon, &[("q", other.as_str().unwrap())]).await.json()["total"].as_u64() > Some(0));
    }
    assert_eq!(search(&colophon, &[("q", "daughter")]).await.json().get("did_you_mean"), None);
    let far = answer(colophon.at("/v1/search?q=x", 1 << 40)).await;
    assert_eq!((far.problem().0, far.header("retry-after")), (503, "1"));
}

#[tokio::test]
async fn the_index_goes_on_after_a_crash_and_is_built_anew_when_it_is_gone_or_damaged() {
    let colophon = Colophon::start().await;
    let (_, position) = filled(&colophon).await;
    let shown = async |colophon: &Colophon| colophon.get_at("/v1/search?q=daughter", position).await.body;
    let before = shown(&colophon).await;
    let mut directory = colophon.kill();
    for harm in ["none", "gone", "damaged"] {
        let index = directory.path().join("data/search");
        match harm {
            "gone" => std::fs::remove_dir_all(&index).unwrap(),
            "damaged" => {
                for entry in std::fs::read_dir(index.join("1")).unwrap() {
                    let file = entry.unwrap().path();
                    if file.extension().is_some_and(|extension| extension == "store" || extension == "term") {
                        let mut bytes = std::fs::read(&file).unwrap();
                        bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
                        std::fs::write(&file, bytes).unwrap();
                    }
                }
            }
            _ => {}
        }
        let colophon = Colophon::start_with(directory, &[], &[]).await;
        assert_eq!(shown(&colophon).await, before, "{harm}");
        let log = colophon.log();
        assert_eq!(log.contains("the search index is damaged"), harm == "damaged", "{log}");
        directory = colophon.stop();
    }
}

#[tokio::test]
async fn hits_are_neither_repeated_nor_dropped_while_books_are_added() {
    let colophon = Colophon::start().await;
    let register = async |n: u32| {
        let title = format!("Tome {}", "of dust ".repeat(n as usize % 5));
        let body = json!({"isbn": isbn(n), "title": title, "authors": ["Ann"], "language": "en"});
        colophon.post("/v1/books", &body).await.position()
    };
    let mut position = 0;
    for n in 0..50 {
        position = register(n).await;
    }
    let (mut seen, mut cursor, mut next) = (Vec::new(), String::new(), 100);
    loop {
        let page = colophon.get_at(&format!("/v1/search?q=tome&limit=7&cursor={cursor}"), position).await.json();
        seen.extend(
            page["hits"].as_array().unwrap().iter().map(|hit| hit["book"]["isbn"].as_str().unwrap().to_owned()),
        );
        let Value::String(next_cursor) = &page["next_cursor"] else { break };
        cursor.clone_from(next_cursor);
        for _ in 0..3 {
            position = register(next).await;
            next += 1;
        }
    }
    let mut unique = seen.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), seen.len(), "no hit twice");
    assert!((0..50).all(|n| unique.contains(&isbn(n))), "and none dropped");
}

#[tokio::test]
async fn searches_are_for_everybody_unless_reads_are_not() {
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let closed = Colophon::start_with(directory, &[], &[("COLOPHON_AUTH__PUBLIC_READS", "false")]).await;
    for path in ["/v1/search?q=x", "/v1/suggestions?q=x"] {
        assert_eq!(closed.get(path).await.status, 401);
        assert_eq!(answer(closed.manager(Method::GET, path)).await.status, 200);
    }
    let ann = Customer::new(&closed, "ann");
    assert_eq!(ann.get(&closed, "/v1/search").await.json()["total"], 0);
    assert_eq!(ann.order(&closed, "k", &line(&uuid::Uuid::nil().to_string(), 1)).await.status, 422);
}
