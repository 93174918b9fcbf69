//! The index as a store that can go on or begin anew, and as a search that finds what people mean.

use super::*;
use crate::event_log::Position;
use proptest::prelude::*;
use serde_json::json;
use std::collections::HashSet;
use std::path::PathBuf;
use tempfile::TempDir;

static SHELF: Layout = Layout {
    name: "shelf",
    key: "id",
    fields: &[
        ("title", Kind::Text { weight: 3.0 }),
        ("names", Kind::Text { weight: 2.0 }),
        ("code", Kind::Code),
        ("whole_title", Kind::Keyword),
        ("name", Kind::Keyword),
        ("kind", Kind::Keyword),
        ("price", Kind::Number),
        ("sold", Kind::Number),
        ("at", Kind::Number),
    ],
    ties: ["sold", "at"],
    describe: |row| {
        let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        let list = |field: &str| -> Vec<String> { serde_json::from_value(row[field].clone()).unwrap_or_default() };
        let numbers = ["price", "sold", "at"].into_iter().filter_map(|name| Some((name, row[name].as_i64()?)));
        Ok(Described {
            visible: row["hidden"].is_null(),
            texts: vec![
                ("title", vec![text("title")]),
                ("whole_title", vec![text("title")]),
                ("names", list("names")),
                ("name", list("names")),
                ("code", list("code")),
                ("kind", vec![text("kind")]),
            ],
            numbers: numbers.collect(),
            body: text("id"),
        })
    },
};

static OTHER: Layout = Layout { ties: ["price", "at"], ..SHELF };

const LOG: LogId = LogId(Uuid::from_u128(1));

fn source(head: u64) -> Source {
    Source { log: LOG, head: Position(head), partitions: 1 }
}

fn book(id: usize, title: &str, name: &str) -> Json {
    json!({"id": format!("{id:03}"), "title": title, "names": [name], "kind": "en", "at": id, "sold": 0})
}

fn change(from: u64, to: u64, rows: impl IntoIterator<Item = Json>) -> Change {
    let from = Checkpoint { position: Position(from), ..Checkpoint::start(LOG, "shelf".to_owned(), 0) };
    Change { upserts: rows.into_iter().collect(), ..Change::of(from, Position(to)) }
}

struct Shelf {
    index: Arc<SearchIndex>,
    directory: TempDir,
    at: u64,
}

impl Shelf {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let index = Arc::new(SearchIndex::open(&directory.path().join("index"), &SHELF, source(0)).unwrap());
        Self { index, directory, at: 0 }
    }

    async fn of(books: &[(&str, &str)]) -> Self {
        let mut shelf = Self::new();
        shelf.put((1..).zip(books).map(|(id, (title, name))| book(id, title, name))).await;
        shelf
    }

    async fn put(&mut self, rows: impl IntoIterator<Item = Json>) {
        assert!(self.index.write(&change(self.at, self.at + 1, rows)).await.unwrap());
        self.at += 1;
        self.index.commit().await.unwrap();
    }

    fn reopened(self, layout: &'static Layout, source: Source) -> Self {
        drop(self.index);
        let index = Arc::new(SearchIndex::open(&self.directory.path().join("index"), layout, source).unwrap());
        Self { at: index.position().0, index, directory: self.directory }
    }

    fn find(&self, text: &str) -> Found {
        self.index.search(&request(text)).unwrap()
    }

    fn titles(&self, text: &str) -> Vec<String> {
        let shown = |hit: Hit| hit.highlights.into_iter().find(|(name, _)| *name == "title").map(|(_, title)| title);
        self.find(text).hits.into_iter().map(|hit| shown(hit).unwrap_or_default()).collect()
    }

    fn ids(&self, request: &Request<'_>) -> Vec<String> {
        self.index.search(request).unwrap().hits.into_iter().map(|hit| hit.body).collect()
    }

    /// The places, from 1, of the books that are found.
    fn places(&self, text: &str) -> Vec<usize> {
        self.find(text).hits.iter().map(|hit| hit.body.parse().unwrap()).collect()
    }
}

fn request(text: &str) -> Request<'_> {
    Request { text, filters: vec![], order: Order::Relevance, counted: vec!["kind"], after: None, limit: 10 }
}

const ENGLISH: &[(&str, &str)] = &[
    ("The Hobbit", "J.R.R. Tolkien"),
    ("Harry Potter and the Sorcerer's Stone", "J.K. Rowling"),
    ("Running with Café Society", "Zoë Ångström"),
    ("1984", "George Orwell"),
    ("The Stand", "Stephen King"),
    ("Ultimate Spider-Man", "Brian Bendis"),
    ("Cats & <Dogs>", "Pat O'Brien"),
    ("Foundations of C++", "Ann Example"),
    ("It", "Stephen King"),
    ("The Hunger Games", "Suzanne Collins"),
    ("Games of Hunger", "Bo Example"),
];

#[tokio::test]
async fn english_is_found_as_people_type_it() {
    let shelf = Shelf::of(ENGLISH).await;
    for (text, first) in [
        ("hobbit", 1),
        ("HOBBITS", 1),
        ("hob", 1),
        ("hobit", 1),
        ("hobibt", 1),
        ("tolkien hobbit", 1),
        ("jrr tolkien", 1),
        ("sorcerers stone", 2),
        ("sorcerer stone", 2),
        ("sorcrers stoen", 2),
        ("jk rowling", 2),
        ("harry rowl", 2),
        ("cafe", 3),
        ("run society", 3),
        ("zoe angstrom", 3),
        ("1984", 4),
        ("stand", 5),
        ("the stand", 5),
        ("spiderman", 6),
        ("spider man", 6),
        ("Spider-Man", 6),
        ("obrien", 7),
        ("o'brien", 7),
        ("dogs cats", 7),
        ("c++", 8),
        ("foundation", 8),
        ("it", 9),
        ("the it", 9),
        ("hunger games", 10),
        ("games of hunger", 11),
    ] {
        assert_eq!(shelf.places(text).first(), Some(&first), "{text}");
    }
    for text in ["1985", "198x", "hxbbxt", "dune", "stnad it hobbit", "hobbit rowling", "*", "?!"] {
        assert_eq!(shelf.places(text), Vec::<usize>::new(), "{text}");
    }
    assert_eq!(shelf.places("\"hunger games\""), [10], "a phrase is found in its order only");
    assert_eq!(shelf.places("stand \"games\""), Vec::<usize>::new());
    assert_eq!(shelf.find("").total, 11, "nothing asked for is everything");
}

#[tokio::test]
async fn a_word_that_is_there_is_not_a_mistake() {
    let shelf = Shelf::of(&[("Harry", "A"), ("Barry", "B"), ("Larry's farm", "C")]).await;
    assert_eq!(shelf.places("harry"), [1]);
    assert_eq!(shelf.places("farry"), [1, 2, 3], "which no document has");
    assert_eq!(shelf.places("harry farm"), [3], "each of them is there, but not together");
}

#[tokio::test]
async fn chinese_is_found_in_both_scripts_by_words_and_parts() {
    let shelf = Shelf::of(&[
        ("人工智能简史", "尼克"),
        ("紅樓夢", "曹雪芹"),
        ("百年孤独", "[哥伦比亚] 加西亚·马尔克斯"),
        ("Python编程：从入门到实践", "Eric Matthes"),
        ("三体", "刘慈欣"),
        ("京都古寺", "舒国治"),
        ("东京都政治", "佚名"),
        ("三体：死神永生", "刘慈欣"),
        ("西湖：畔山集", "林逋"),
    ])
    .await;
    for (text, places) in [
        ("人工", vec![1]),
        ("智能", vec![1]),
        ("工智", vec![1]),
        ("人工智慧", vec![]),
        ("红楼梦", vec![2]),
        ("紅樓夢", vec![2]),
        ("紅楼", vec![2]),
        ("梦", vec![2]),
        ("馬爾克斯 孤獨", vec![3]),
        ("加西亚马尔克斯", vec![3]),
        ("python 编程", vec![4]),
        ("Python入门", vec![4]),
        ("編程 pyth", vec![4]),
        ("刘慈欣三体", vec![5, 8]),
        ("京都", vec![6, 7]),
        ("\"死神\" 三体", vec![8]),
        ("体三", vec![5, 8]),
        ("\"体三\"", vec![]),
        ("\"西湖\"", vec![9]),
        ("\"湖畔\"", vec![]),
    ] {
        assert_eq!(shelf.places(text), places, "{text}");
    }
}

#[tokio::test]
async fn codes_are_found_first_however_they_are_written() {
    let mut shelf = Shelf::new();
    let mut one = book(1, "One", "Ann");
    one["code"] = json!(["9780306406157", "0306406152"]);
    let text = book(2, "All about 9780306406157", "Bo");
    shelf.put([text, one]).await;
    for text in ["9780306406157", "978-0-306-40615-7", "0306406152", "0-306-40615-2", "0 306 40615 2"] {
        assert_eq!(shelf.places(text).first(), Some(&1), "{text}");
    }
    assert_eq!(shelf.places("9780306406157"), [1, 2]);
    let mut crossed = book(3, "Three", "Cy");
    crossed["code"] = json!(["080442957X"]);
    shelf.put([crossed]).await;
    for text in ["0-8044-2957-X", "080442957x", "0 8044 2957 X"] {
        assert_eq!(shelf.places(text), [3], "{text}");
    }
    assert_eq!(shelf.places("030640615"), Vec::<usize>::new(), "a part of a code is none");
}

#[tokio::test]
async fn hits_show_why_they_are_there() {
    let shelf = Shelf::of(ENGLISH).await;
    for (text, title) in [
        ("hobit", "The <em>Hobbit</em>"),
        ("hob", "The <em>Hobbit</em>"),
        ("dogs", "Cats &amp; &lt;<em>Dogs</em>&gt;"),
        ("spiderman", "Ultimate <em>Spider-Man</em>"),
        ("cafe run", "<em>Running</em> with <em>Café</em> Society"),
    ] {
        assert_eq!(shelf.titles(text), [title], "{text}");
    }
    let found = shelf.find("tolkien").hits.remove(0);
    assert_eq!(found.highlights, [("names", "J.R.R. <em>Tolkien</em>".to_owned())]);
}

#[tokio::test]
async fn what_is_counted_is_the_whole_result_and_filters_work_on_it() {
    let mut shelf = Shelf::new();
    let row = |id: usize| {
        let mut row = book(id, &format!("Tome {id}"), "Ann");
        row["kind"] = json!(if id.is_multiple_of(3) { "fr" } else { "en" });
        row["price"] = if id.is_multiple_of(5) { Json::Null } else { json!(100 * id) };
        row
    };
    shelf.put((1..=50).map(row)).await;
    let mut asked = request("tome");
    let found = shelf.index.search(&asked).unwrap();
    assert_eq!((found.total, found.hits.len()), (50, 10));
    assert_eq!(found.counts, [vec![("en".to_owned(), 34), ("fr".to_owned(), 16)]]);
    asked.filters = vec![Filter::Is("kind", "fr".to_owned())];
    let found = shelf.index.search(&asked).unwrap();
    assert_eq!((found.total, &found.counts[0]), (16, &vec![("fr".to_owned(), 16)]));
    asked.filters.push(Filter::Between("price", Some(300), Some(900)));
    asked.order = Order::Descending("price");
    assert_eq!(shelf.ids(&asked), ["009", "006", "003"]);
    asked.filters = vec![Filter::Is("kind", "FR".to_owned())];
    assert_eq!(shelf.index.search(&asked).unwrap().total, 0);
    for order in [Order::Ascending("price"), Order::Descending("price")] {
        let all = Request { order, limit: 50, filters: vec![], ..request("") };
        let unpriced: Vec<_> = shelf.ids(&all).split_off(40);
        assert_eq!(unpriced.len(), 10);
        assert!(unpriced.iter().all(|id| id.ends_with(['0', '5'])), "what lacks the number comes last: {unpriced:?}");
    }
}

/// Reads all pages, while books come in front of each page, behind it, and in between.
async fn pages(order: Order, text: &str) {
    let mut shelf = Shelf::new();
    let row = |id: usize| {
        let mut row = book(id, &format!("Tome {}", "of dust ".repeat(id % 4)), "Ann");
        row["price"] = json!(id * 7 % 10);
        row["sold"] = json!(id * 3 % 5);
        row
    };
    shelf.put((0..40).map(|n| row(n * 10))).await;
    let mut asked = Request { order, limit: 6, ..request(text) };
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let found = shelf.index.search(&asked).unwrap();
        seen.extend(found.hits.into_iter().map(|hit| hit.body));
        pages += 1;
        let Some(next) = found.next else { break };
        asked.after = Some(Place::from_bytes(next.to_bytes()).unwrap());
        shelf.put((0..8).map(|n| row(n * 50 + pages))).await;
    }
    let unique: HashSet<_> = seen.iter().collect();
    assert_eq!(unique.len(), seen.len(), "{order:?}: no hit comes twice: {seen:?}");
    let old = (0..40).map(|n| format!("{:03}", n * 10));
    let lost: Vec<_> = old.filter(|id| !unique.contains(id)).collect();
    assert!(lost.is_empty(), "{order:?}: every hit of the first page's time comes: {lost:?}");
    assert!(pages > 6);
}

#[tokio::test]
async fn pages_neither_repeat_nor_drop_a_hit_while_books_are_added() {
    for order in [Order::Relevance, Order::Ascending("price"), Order::Descending("price"), Order::Descending("sold")] {
        pages(order, "tome").await;
        pages(order, "tom").await;
        pages(order, "tmoe").await;
        pages(order, "").await;
    }
}

#[test]
fn a_place_is_read_as_it_was_written_and_nothing_else_is_one() {
    let bytes = |forgiving| [[7; 24].as_slice(), &[forgiving]].concat().try_into().unwrap();
    for forgiving in [0, 1] {
        assert_eq!(Place::from_bytes(bytes(forgiving)).unwrap().to_bytes(), bytes(forgiving));
    }
    assert_eq!(Place::from_bytes(bytes(2)), None);
}

#[tokio::test]
async fn a_score_depends_on_the_document_and_the_question_only() {
    let score = |shelf: &Shelf, text: &str| shelf.find(text).hits.iter().find(|hit| hit.body == "001").unwrap().score;
    let mut shelf = Shelf::of(&ENGLISH[..1]).await;
    let questions = ["hobbit", "hob", "hobit", "tolkien", "the hobbit tolkien", "\"the hobbit\""];
    let before: Vec<_> = questions.iter().map(|text| score(&shelf, text)).collect();
    for round in 0..12 {
        shelf.put((2..40).map(|id| book(id, &format!("The Hobbit again and again {round}"), "J.R.R. Tolkien"))).await;
    }
    let after: Vec<_> = questions.iter().map(|text| score(&shelf, text)).collect();
    assert_eq!(before, after);
}

#[tokio::test]
async fn what_finds_nothing_is_answered_with_questions_that_find_something() {
    let shelf = Shelf::of(ENGLISH).await;
    for (text, likely) in [
        ("hobbit xyzzy", "hobbit"),
        ("thestand", "the stand"),
        ("stephenking", "stephen king"),
        ("hpbbjt", "hobbit"),
        ("hobbit rowling", "hobbit"),
        ("hunger gamma", "hunger"),
        ("hobbbbit rxwling", "hobbit"),
    ] {
        let found = shelf.find(text);
        assert!(found.total == 0 && found.alternatives.iter().any(|other| other == likely), "{text}: {found:?}");
        for other in &found.alternatives {
            assert!(shelf.find(other).total > 0, "{text}: {other}");
        }
        assert!(found.alternatives.len() <= 5);
    }
    assert_eq!(shelf.find("qqqqqq").alternatives, Vec::<String>::new());
    let filtered = Request { filters: vec![Filter::Is("kind", "fr".to_owned())], ..request("hobit") };
    assert_eq!(shelf.index.search(&filtered).unwrap().alternatives, Vec::<String>::new(), "under the same filters");
}

#[tokio::test]
async fn suggestions_are_the_best_sold_of_what_is_being_typed() {
    let mut shelf = Shelf::new();
    let sold = |id, title, name, sold| {
        let mut row = book(id, title, name);
        row["sold"] = json!(sold);
        row
    };
    let mut by_two = sold(6, "Heretics", "Frank Herbert", 0);
    by_two["names"] = json!(["Frank Herbert", "Somebody Else"]);
    shelf
        .put([
            by_two,
            sold(1, "Dune", "Frank Herbert", 5),
            sold(2, "Dune Messiah", "Frank Herbert", 9),
            sold(3, "Dunes of the Sea", "Ann Herbert", 1),
            sold(4, "Emma", "Jane Austen", 50),
            sold(5, "红楼梦", "曹雪芹", 3),
        ])
        .await;
    let offered = [("title", "whole_title"), ("names", "name")];
    let suggest = |text: &str, limit| shelf.index.suggest(text, &offered, limit).unwrap().1;
    assert_eq!(suggest("dun", 10), ["Dune Messiah", "Dune", "Dunes of the Sea"]);
    assert_eq!(suggest("herb", 10), ["Frank Herbert", "Ann Herbert"], "a name has the sales of all its books");
    assert_eq!(suggest("fr he", 10), ["Frank Herbert"]);
    assert_eq!(suggest("hebrert", 10), ["Frank Herbert", "Ann Herbert"]);
    assert_eq!(suggest("紅", 10), ["红楼梦"]);
    assert_eq!(suggest("d", 1), ["Dune Messiah"]);
    for text in ["", " ", "*", "zzzz"] {
        assert_eq!(suggest(text, 10), Vec::<String>::new(), "{text}");
    }
}

#[tokio::test]
async fn rows_are_replaced_hidden_deleted_and_read_wherever_they_are() {
    let mut shelf = Shelf::of(&ENGLISH[..2]).await;
    let key = |id: &str| vec![json!(id)];
    let load = async |shelf: &Shelf, id: &str| -> Vec<Json> { shelf.index.load(&[&key(id)]).await.unwrap() };
    assert_eq!(load(&shelf, "001").await, [book(1, "The Hobbit", "J.R.R. Tolkien")], "committed");
    let mut hidden = book(1, "The Hobbit", "J.R.R. Tolkien");
    hidden["hidden"] = json!(true);
    let mut next = change(1, 2, [hidden.clone()]);
    next.deletes.push(key("002"));
    assert!(shelf.index.write(&next).await.unwrap());
    assert_eq!((load(&shelf, "001").await, load(&shelf, "002").await), (vec![hidden.clone()], vec![]), "pending");
    assert_eq!(shelf.places("hobbit"), [1], "until it is committed");
    shelf.at = 2;
    shelf.put([book(3, "Emma", "Jane Austen")]).await;
    assert_eq!((load(&shelf, "001").await, load(&shelf, "002").await), (vec![hidden], vec![]), "committed");
    assert_eq!(shelf.ids(&request("")), ["003"], "neither what is hidden nor what is gone is found");
    assert_eq!(shelf.places("hobbit"), Vec::<usize>::new());
    assert_eq!(shelf.index.position(), Position(3));
}

#[tokio::test]
async fn a_change_is_taken_only_where_its_partition_stands() {
    let shelf = Shelf::of(&ENGLISH[..1]).await;
    for (from, to) in [(0, 1), (2, 3)] {
        assert!(!shelf.index.write(&change(from, to, [book(9, "Ghost", "X")])).await.unwrap());
    }
    let mut foreign = change(1, 2, [book(9, "Ghost", "X")]);
    foreign.from.log = LogId(Uuid::from_u128(2));
    assert!(!shelf.index.write(&foreign).await.unwrap());
    shelf.index.commit().await.unwrap();
    assert_eq!((shelf.find("ghost").total, shelf.index.position()), (0, Position(1)));
}

#[tokio::test]
async fn an_index_goes_on_where_it_was_committed() {
    let mut shelf = Shelf::of(ENGLISH).await;
    let mut next = change(1, 5, [book(20, "Emma", "Jane Austen")]);
    let (stream, reason) = ("book-1".to_owned(), "no".to_owned());
    next.parked.push(view_store::Parked { stream, partition: 0, revision: 1, position: 4, reason });
    assert!(shelf.index.write(&next).await.unwrap());
    shelf.index.commit().await.unwrap();
    assert!(shelf.index.write(&change(5, 6, [book(21, "Lost", "X")])).await.unwrap());
    shelf = shelf.reopened(&SHELF, source(6));
    assert_eq!((shelf.at, shelf.find("emma").total, shelf.find("lost").total), (5, 1, 0));
    assert_eq!(
        shelf.index.set_aside().parked,
        std::collections::BTreeMap::from([("book-1".to_owned(), next.parked[0].clone())])
    );
    let checkpoints = shelf.index.checkpoints().await.unwrap();
    assert_eq!(checkpoints.iter().map(|at| (at.partition, at.position)).collect::<Vec<_>>(), [(0, Position(5))]);
}

#[tokio::test]
async fn an_index_that_does_not_fit_begins_anew() {
    let ahead = source(0);
    let other_log = Source { log: LogId(Uuid::from_u128(2)), ..source(9) };
    let repartitioned = Source { partitions: 2, ..source(9) };
    for (layout, source) in [(&SHELF, ahead), (&SHELF, other_log), (&SHELF, repartitioned), (&OTHER, source(9))] {
        let shelf = Shelf::of(ENGLISH).await.reopened(layout, source);
        assert_eq!((shelf.index.position(), shelf.find("").total), (Position(0), 0), "{layout:?} {source:?}");
    }
    assert_eq!(Shelf::of(ENGLISH).await.reopened(&SHELF, source(9)).at, 1, "one that fits does not");
}

#[tokio::test]
async fn a_damaged_index_begins_anew_and_never_serves_what_was_not_written() {
    let files = |shelf: &Shelf| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(shelf.directory.path().join("index")).unwrap();
        let mut files: Vec<_> =
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.metadata().unwrap().len() > 0).collect();
        files.sort();
        files
    };
    let count = files(&Shelf::of(ENGLISH).await).len();
    for nth in 0..count {
        let shelf = Shelf::of(ENGLISH).await;
        let file = files(&shelf).swap_remove(nth);
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x20;
        std::fs::write(&file, bytes).unwrap();
        let shelf = shelf.reopened(&SHELF, source(9));
        let fits = shelf.at == 1 && shelf.find("").total == 11 && shelf.places("hobbit") == [1];
        let anew = shelf.at == 0 && shelf.find("").total == 0;
        assert!(fits || anew, "{}", file.display());
        let of_segment = file.file_stem().is_some_and(|name| name.len() == 32);
        assert!(anew || !of_segment, "{} is not as it was written", file.display());
    }
}

/// Keeps an index while something goes on.
async fn kept<T>(shelf: &Shelf, work: impl AsyncFnOnce() -> T) -> T {
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(Arc::clone(&shelf.index).keep(stop.clone()));
    let done = work().await;
    stop.cancel();
    keeping.await.unwrap();
    done
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_committed_for_at_once_and_nobody_else_is_kept_waiting_long() {
    analysis::prepare();
    let shelf = Shelf::new();
    kept(&shelf, async || {
        for at in 0..3 {
            let begin = Instant::now();
            let waiting = shelf.index.wait_for(Position(at + 1));
            let write = async { shelf.index.write(&change(at, at + 1, [book(1, "Dune", "F")])).await.unwrap() };
            let (reached, _) = tokio::join!(waiting, write);
            assert_eq!(reached, Position(at + 1));
            assert!(begin.elapsed() < Duration::from_millis(100), "{:?}", begin.elapsed());
        }

        // Somebody who waits for what never comes does not make every write a commit.
        let far = tokio::time::timeout(Duration::from_secs(60), shelf.index.wait_for(Position(u64::MAX >> 1)));
        let mut positions = shelf.index.snapshot.subscribe();
        positions.mark_unchanged();
        let write = async {
            let begin = Instant::now();
            for at in 3..6 {
                shelf.index.write(&change(at, at + 1, [book(1, "Dune", "F")])).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            positions.changed().await.unwrap();
            assert_eq!(positions.borrow_and_update().position(), Position(6), "one commit for all");
            assert!(begin.elapsed() < Duration::from_secs(2));
            tokio::time::sleep(Duration::from_secs(1)).await;
            let begin = Instant::now();
            shelf.index.write(&change(6, 7, [book(1, "Dune", "F")])).await.unwrap();
            positions.changed().await.unwrap();
            assert!(begin.elapsed() < Duration::from_millis(100), "a lone row does not wait: {:?}", begin.elapsed());
        };
        let (too_far, ()) = tokio::join!(far, write);
        assert!(too_far.is_err());
    })
    .await;
}

#[tokio::test]
async fn there_is_room_for_so_many_rows_and_nobody_waits_for_room_when_the_index_is_stopped() {
    let shelf = Shelf::new();
    let many = |from: usize| (from..from + 20_000).map(|id| book(id, "Dune", "F"));
    assert!(shelf.index.write(&change(0, 1, many(0))).await.unwrap());
    let more = change(1, 2, many(20_000));
    let waits = tokio::time::timeout(Duration::from_millis(50), shelf.index.write(&more)).await;
    assert!(waits.is_err(), "until what is there is committed");
    shelf.index.commit().await.unwrap();
    assert!(shelf.index.write(&more).await.unwrap());
    kept(&shelf, async || {}).await;
    let late = [change(2, 3, many(40_000)), change(3, 4, many(60_000))];
    for change in &late {
        let written = tokio::time::timeout(Duration::from_secs(5), shelf.index.write(change));
        assert!(written.await.expect("nobody commits any more").unwrap());
    }
}

#[tokio::test]
async fn what_is_new_does_not_have_all_the_rest_written_anew() {
    let mut shelf = Shelf::new();
    shelf.put((0..1_000).map(|id| book(id, "One of many", "Ann"))).await;
    let segments = |shelf: &Shelf| shelf.index.index.searchable_segment_ids().unwrap();
    let many = segments(&shelf);
    for n in 0..30 {
        shelf.put([book(n * 10, "Sold again", "Ann"), book(2_000 + n, "New", "Ann")]).await;
        // Merges go on beside the writer, which ends when they have.
        shelf.index.writer.lock().await.take().unwrap().wait_merging_threads().unwrap();
    }
    let after = segments(&shelf);
    assert!(many.iter().all(|segment| after.contains(segment)), "{many:?} should be among {after:?}");
    assert!(after.len() <= 10, "small segments are merged: {after:?}");
    // Until half of it has been replaced.
    shelf.put((0..600).map(|id| book(id, "Another edition", "Ann"))).await;
    shelf.index.writer.lock().await.take().unwrap().wait_merging_threads().unwrap();
    assert!(!many.iter().any(|segment| segments(&shelf).contains(segment)));
}

#[tokio::test]
async fn an_index_that_is_stopped_keeps_what_it_has() {
    let shelf = Shelf::new();
    kept(&shelf, async || {
        shelf.index.write(&change(0, 1, [book(1, "Dune", "F")])).await.unwrap();
    })
    .await;
    assert_eq!(shelf.reopened(&SHELF, source(1)).at, 1);
}

#[tokio::test]
async fn rows_that_could_not_be_committed_are_committed_later() {
    let mut shelf = Shelf::of(&ENGLISH[..1]).await;
    let index = shelf.directory.path().join("index");
    let away = shelf.directory.path().join("away");
    *shelf.index.writer.lock().await = None;
    std::fs::rename(&index, &away).unwrap();
    assert!(shelf.index.write(&change(1, 2, [book(2, "Dune", "F")])).await.unwrap());
    assert!(shelf.index.commit().await.is_err());
    assert_eq!(shelf.index.load(&[&vec![json!("002")]]).await.unwrap().len(), 1, "still pending");
    assert!(matches!(shelf.index.freeze().await, Err(StoreError::NotWritten(_))), "nobody waits in vain");
    std::fs::rename(&away, &index).unwrap();
    shelf.at = 2;
    shelf.put([book(3, "Emma", "J")]).await;
    assert_eq!((shelf.places("dune"), shelf.places("emma")), (vec![2], vec![3]));
}

fn anything() -> impl Strategy<Value = String> {
    let typed = prop::sample::select(vec![
        "AND",
        "OR",
        "NOT",
        "title:",
        "*",
        "?",
        "\"",
        "“",
        "”",
        "'",
        "~2",
        "^5",
        "(",
        ")",
        "[1 TO 2]",
        "\\",
        "\0",
        "hobbit",
        "三体",
        "紅",
        "c++",
        "🙂",
        "e\u{301}",
        "\u{202e}",
        "978-0-306-40615-7",
        "-",
        "+",
        "&&",
        "<em>",
        " ",
        "＋",
        "Ｃ",
        "㏍",
        "㌀",
        "㎏書",
    ]);
    prop_oneof![
        3 => prop::collection::vec(typed, 0..12).prop_map(|parts| parts.concat()),
        1 => prop::collection::vec(any::<char>(), 0..40).prop_map(String::from_iter),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_question_and_what_is_offered_instead_finds_something(text in anything()) {
        static SHELF: std::sync::OnceLock<Shelf> = std::sync::OnceLock::new();
        let shelf = SHELF.get_or_init(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(Shelf::of(ENGLISH))
        });
        let found = shelf.find(&text);
        for other in found.alternatives {
            prop_assert!(shelf.find(&other).total > 0, "{:?}", other);
        }
        shelf.index.suggest(&text, &[("title", "whole_title"), ("names", "name")], 10).unwrap();
    }
}

#[tokio::test]
async fn long_questions_are_bounded() {
    let shelf = Shelf::of(ENGLISH).await;
    let begin = std::time::Instant::now();
    for text in [
        "a".repeat(5_000),
        "hobbit ".repeat(700),
        "书".repeat(5_000),
        "x-".repeat(2_500),
        "\"".repeat(5_000),
        "qwertyuiop ".repeat(450),
    ] {
        shelf.find(&text);
    }
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
}

async fn fill(generation: &crate::view_store::Generation, to: u64, rows: impl IntoIterator<Item = Json>) {
    let from = generation.store.checkpoints().await.unwrap().remove(0);
    let change = Change { upserts: rows.into_iter().collect(), ..Change::of(from, Position(to)) };
    assert!(generation.store.write(&change).await.unwrap());
}

#[tokio::test]
async fn another_generation_is_built_beside_the_searched_one_and_takes_its_place_at_once() {
    use crate::view_store::{Generation, Generations, Stage, Switch};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("search");
    let opened = || Arc::new(SearchIndexes::open(&path, &SHELF, source(9)).unwrap());
    let indexes = opened();
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(Arc::clone(&indexes).keep(stop.clone()));
    let first: Generation = indexes.all().borrow()[0].clone();
    fill(&first, 3, [book(2, "Dune", "Frank Herbert"), book(1, "Emma", "Jane Austen")]).await;
    indexes.wait_for(Position(3)).await;

    let second = indexes.begin().await.unwrap();
    assert_eq!((second.number, second.stage, second.store.is_live()), (2, Stage::Building, false));
    fill(&second, 2, [book(3, "Ulysses", "James Joyce")]).await;
    let found = |text: &str| indexes.live().search(&request(text)).unwrap().total;
    assert_eq!((found("dune"), found("ulysses")), (1, 0));
    let mut frozen = indexes.freeze(2).await.unwrap();
    assert_eq!(frozen.checkpoints()[0].position, Position(2));
    assert_eq!(frozen.rows(None, 9).await.unwrap(), [(vec![json!("003")], book(3, "Ulysses", "James Joyce"))]);
    assert_eq!(indexes.switch(2).await.unwrap(), Switch::Behind);
    fill(&second, 4, [book(3, "Ulysses (2nd ed.)", "James Joyce")]).await;
    indexes.mark(2, Stage::Built).await.unwrap();
    drop(indexes.freeze(2).await.unwrap());
    assert_eq!(indexes.switch(2).await.unwrap(), Switch::Done);
    assert_eq!((found("dune"), found("ulysses"), indexes.position()), (0, 1, Position(4)));

    let mut frozen = indexes.freeze(1).await.unwrap();
    let page = frozen.rows(None, 1).await.unwrap();
    assert_eq!(page, [(vec![json!("001")], book(1, "Emma", "Jane Austen"))], "by key");
    let page = frozen.rows(Some(&page[0].0), 9).await.unwrap();
    assert_eq!(page, [(vec![json!("002")], book(2, "Dune", "Frank Herbert"))]);
    stop.cancel();
    keeping.await.unwrap();
    drop((indexes, first, second, frozen));

    let indexes = opened();
    let stages =
        |indexes: &SearchIndexes| -> Vec<_> { indexes.all().borrow().iter().map(|it| (it.number, it.stage)).collect() };
    assert_eq!(stages(&indexes), [(1, Stage::Kept), (2, Stage::Live)]);
    assert_eq!(indexes.position(), Position(4));
    indexes.hold(1).await.unwrap();
    assert_eq!(stages(&indexes), [(1, Stage::Building), (2, Stage::Live)]);
    drop(indexes);
    let indexes = opened();
    assert_eq!(stages(&indexes), [(1, Stage::Kept), (2, Stage::Live)], "the next start knows nothing of it");
    assert!(indexes.drop_generation(2).await.is_err());
    indexes.drop_generation(1).await.unwrap();
    assert!(!path.join("1").exists() && path.join("2").exists());
    std::fs::write(path.join("generations.json"), "{").unwrap();
    drop(indexes);
    assert_eq!(opened().position(), Position(0), "without its file, the view begins anew");
    assert!(!path.join("2").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_is_dropped_while_it_is_written() {
    use crate::view_store::Generations;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("search");
    let indexes = Arc::new(SearchIndexes::open(&path, &SHELF, source(100)).unwrap());
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(Arc::clone(&indexes).keep(stop.clone()));
    for millis in 0..60 {
        let dropped = indexes.begin().await.unwrap();
        let number = dropped.number;
        let directory = path.join(number.to_string());
        let writing = {
            let indexes = Arc::clone(&indexes);
            tokio::spawn(async move {
                for position in 1.. {
                    fill(&dropped, position, [book(1, "Emma", "Jane Austen")]).await;
                    if indexes.freeze(number).await.is_err() {
                        break;
                    }
                }
            })
        };
        tokio::time::sleep(Duration::from_millis(millis)).await;
        indexes.drop_generation(number).await.unwrap();
        writing.abort();
        assert!(!directory.exists());
    }
    stop.cancel();
    keeping.await.unwrap();
    let names: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "the live one, and what says so: {names:?}");
}

/// One that is searched, and one that can be switched to.
async fn two_generations(directory: &TempDir) -> Arc<SearchIndexes> {
    use crate::view_store::{Generations, Stage};
    let indexes = SearchIndexes::open(&directory.path().join("search"), &SHELF, source(1_000_000)).unwrap();
    indexes.begin().await.unwrap();
    indexes.mark(2, Stage::Built).await.unwrap();
    Arc::new(indexes)
}

/// Two generations go on side by side, and now one, now the other is searched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_see_what_they_wait_for_and_nothing_older_than_before_whichever_generation_is_live() {
    use crate::view_store::{Generations, Stage};
    let directory = tempfile::tempdir().unwrap();
    let indexes = two_generations(&directory).await;
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(Arc::clone(&indexes).keep(stop.clone()));
    let (both, feeding) = (indexes.all().borrow().clone(), stop.clone());
    let feeding = tokio::spawn(async move {
        for position in 1.. {
            for generation in &both {
                fill(generation, position, [book(1, "Emma", "Jane Austen")]).await;
            }
            if feeding.is_cancelled() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let reading: Vec<_> = [1, 3]
        .map(|ahead| {
            let (indexes, stop) = (Arc::clone(&indexes), stop.clone());
            tokio::spawn(async move {
                let mut last = Position(0);
                while !stop.is_cancelled() {
                    let wanted = Position(last.0 + ahead);
                    indexes.wait_for(wanted).await;
                    let position = indexes.read(|index| Ok(index.search(&request("emma"))?.position)).unwrap();
                    assert!(position >= wanted, "{wanted:?} was waited for, {position:?} is shown");
                    last = position;
                }
            })
        })
        .into();
    let mut switched = 0;
    while switched < 10 {
        let other = 3 - indexes.all().borrow().iter().find(|it| it.stage == Stage::Live).unwrap().number;
        indexes.freeze(other).await.unwrap();
        switched += u32::from(indexes.switch(other).await.unwrap() == crate::view_store::Switch::Done);
    }
    stop.cancel();
    feeding.await.unwrap();
    for reading in reading {
        reading.await.unwrap();
    }
    keeping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_or_reads_while_another_generation_goes_live_sees_that_one() {
    use crate::view_store::{Generations, Switch};
    let directory = tempfile::tempdir().unwrap();
    let indexes = two_generations(&directory).await;
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(Arc::clone(&indexes).keep(stop.clone()));
    let both = indexes.all().borrow().clone();
    let to = async |number: u32, position| {
        fill(&both[number as usize - 1], position, [book(1, "Emma", "Jane Austen")]).await;
        indexes.freeze(number).await.unwrap();
    };
    for round in 1..10 {
        let at = round * 10;
        let (live, other) = if round % 2 == 1 { (1, 2) } else { (2, 1) };
        to(live, at).await;
        to(other, at + 1).await;
        let waiting = indexes.wait_for(Position(at + 5));
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());

        // What is being committed may still be seen before the other one is.
        let committing = Arc::clone(&indexes.live().writer).lock_owned().await;
        let switching = {
            let indexes = Arc::clone(&indexes);
            tokio::spawn(async move { indexes.switch(other).await.unwrap() })
        };
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!switching.is_finished());
        drop(committing);
        assert_eq!(switching.await.unwrap(), Switch::Done);

        // Nobody searches that any more.
        to(live, at + 5).await;
        assert!(futures_util::poll!(&mut waiting).is_pending());
        to(other, at + 6).await;
        assert_eq!(waiting.await, Position(at + 6));

        let mut read = std::cell::RefCell::new(Vec::new());
        indexes
            .read(|index| {
                if read.borrow().is_empty() {
                    let switched = async {
                        to(live, at + 7).await;
                        assert_eq!(indexes.switch(live).await.unwrap(), Switch::Done);
                        assert_eq!(indexes.switch(other).await.unwrap(), Switch::Behind);
                    };
                    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(switched));
                }
                read.borrow_mut().push(index.position());
                Ok(())
            })
            .unwrap();
        assert_eq!(*read.get_mut(), [Position(at + 6), Position(at + 7)]);
        to(other, at + 8).await;
        assert_eq!(indexes.switch(other).await.unwrap(), Switch::Done);
    }
    stop.cancel();
    keeping.await.unwrap();
}
