//! Decks as people write them. A file beside each deck has its parsed form. All of it is drawn.
//!
//! `UPDATE_EXPECT=1 cargo test -p presentation-service --test decks` rewrites the files.

#[path = "../common/mod.rs"]
mod common;

use common::{Service, frames};
use expect_test::expect_file;
use job_registry::JobId;
use presentation_service::deck::{Alignment, Block, Content, Deck, DeckLimits, Kind, Span};
use presentation_service::render::{Arrangement, Canvas, PageSize, Painter, Studio, TextStudio};
use proptest::prelude::*;
use std::collections::HashSet;
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Page size of the tests that draw.
const PAGE: PageSize = PageSize {
    width: 640,
    height: 360,
};

/// The decks beside this file, in order.
fn decks() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decks");
    let entries = std::fs::read_dir(directory).unwrap();
    let mut decks: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    decks.sort();
    decks
}

/// Reads a deck. Its title is that of its front matter, or a default.
fn read(path: &Path) -> Deck {
    let markdown = std::fs::read_to_string(path).unwrap();
    let limits = DeckLimits::default();
    Deck::parse("", &markdown, &limits)
        .or_else(|_| Deck::parse("(from the request)", &markdown, &limits))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A deck as text, a line for each block.
fn outline(deck: &Deck) -> String {
    let mut text = format!("title: {}\n", deck.title);
    for warning in &deck.warnings {
        writeln!(text, "warning: {warning}").unwrap();
    }
    for (number, slide) in deck.slides.iter().enumerate() {
        writeln!(text, "\nslide {}", number + 1).unwrap();
        for block in &slide.blocks {
            writeln!(text, "  {}", line(block)).unwrap();
        }
    }
    text
}

fn line(block: &Block) -> String {
    let mut line = String::new();
    line.push_str(if block.note { "note " } else { "" });
    line.push_str(&"> ".repeat(block.quotes));
    line.push_str(&"  ".repeat(block.depth));
    if !block.marker.is_empty() {
        write!(line, "{} ", block.marker).unwrap();
    }
    match &block.content {
        Content::Heading { level, text } => write!(line, "h{level}: {}", spans(text)),
        Content::Text(text) => write!(line, "text: {}", spans(text)),
        Content::Code(code) => write!(line, "code: {code:?}"),
        Content::Image { text, file } => write!(line, "image: {} ({file})", spans(text)),
        Content::Rule => write!(line, "rule"),
        Content::Table(table) => {
            let columns = table.columns.iter().map(|column| match column {
                Alignment::Natural => '-',
                Alignment::Left => '<',
                Alignment::Centre => '^',
                Alignment::Right => '>',
            });
            let row = |row: &Vec<Vec<Span>>| {
                let cells: Vec<String> = row.iter().map(|cell| spans(cell)).collect();
                cells.join(" | ")
            };
            let rows: Vec<String> = table.rows.iter().map(row).collect();
            write!(
                line,
                "table {}: {}",
                columns.collect::<String>(),
                rows.join(" // ")
            )
        }
    }
    .unwrap();
    line
}

/// The text with a mark at both ends of each style.
fn spans(text: &[Span]) -> String {
    let mut line = String::new();
    for Span { text, style } in text {
        let mut marks = String::new();
        marks.push_str(if style.strong { "**" } else { "" });
        marks.push_str(if style.emphasised { "_" } else { "" });
        marks.push_str(if style.struck { "~~" } else { "" });
        marks.push_str(match style.kind {
            Kind::Plain => "",
            Kind::Code => "`",
            Kind::Link => "@",
        });
        let end: String = marks.chars().rev().collect();
        write!(line, "{marks}{}{end}", text.replace('\n', "\\n")).unwrap();
    }
    line
}

#[test]
fn every_deck_is_read_as_its_author_meant_it() {
    let decks = decks();
    assert!(decks.len() >= 19, "{} decks", decks.len());
    for path in decks {
        expect_file![path.with_extension("txt")].assert_eq(&outline(&read(&path)));
    }
}

#[test]
fn every_deck_is_drawn_and_its_pictures_suit_a_gif() {
    let studio = TextStudio::new(PAGE);
    for path in decks() {
        let deck = read(&path);
        let mut painter = studio.painter();
        let slides = 0..deck.slides.len();
        let pages: usize = slides
            .map(|slide| painter.arrange(&deck, slide).unwrap().pages)
            .sum();
        for page in 0..pages {
            let canvas = painter.paint(&deck, page).unwrap();
            let colours: HashSet<&[u8]> = canvas.pixels().chunks(3).collect();
            let found = colours.len();
            assert!(
                (8..=256).contains(&found),
                "{}: {found} colours",
                path.display()
            );
        }
    }
}

/// Blocks of Markdown. Each `@` stands for a word.
const BLOCKS: [&str; 23] = [
    "# @",
    "## @ *@*",
    "@\n@",
    "@ **@** `@` ~~@~~",
    "@\n===",
    "@\n---",
    "- @\n- @\n  - @\n\n    @",
    "7. @\n8. @",
    "> @\n>\n> ---\n>\n> @",
    "```\n@\n---\n@\n```",
    "    @\n    ---",
    "| @ | @ |\n|---|--:|\n| @ | @ |",
    "![@](x.png)",
    "[@](https://e.example) ![@](y.png)",
    "<p>@ <b>@</b></p>",
    "<details><summary>@</summary>\n\n@\n\n</details>",
    "- [ ] @\n- [x] @",
    "@  \n@",
    "@\n: @",
    "> [!NOTE]\n> @",
    "$@$ $$@$$",
    "<table><tr><td>@<td>@</table>",
    "1. @\n\n   ---\n\n   @",
];

/// The text between two blocks, and whether it separates slides.
const BETWEEN: [(&str, bool); 6] = [
    ("\n\n", false),
    ("\n\n<!-- hidden -->\n\n", false),
    ("\n\n<!--\n\n---\n\nhidden\n-->\n\n", false),
    ("\n\n---\n\n", true),
    ("\n\n* * *\n", true),
    ("\n\n___\n\n<!-- hidden -->\n\n", true),
];

/// A deck of numbered words, their number, and the number of slides.
fn deck_of_words() -> impl Strategy<Value = (String, usize, usize)> {
    let block = (
        proptest::sample::select(&BLOCKS[..]),
        proptest::sample::select(&BETWEEN[..]),
    );
    proptest::collection::vec(block, 1..30).prop_map(|blocks| {
        let (mut markdown, mut words, mut slides) = (String::new(), 0, 1);
        for (number, (block, (between, separates))) in blocks.iter().enumerate() {
            if number > 0 {
                markdown.push_str(between);
                slides += usize::from(*separates);
            }
            for (part, text) in block.split('@').enumerate() {
                if part > 0 {
                    write!(markdown, "w{words}w").unwrap();
                    words += 1;
                }
                markdown.push_str(text);
            }
        }
        (markdown, words, slides)
    })
}

/// The text of a deck.
fn shown(deck: &Deck) -> String {
    let mut shown = String::new();
    let mut add = |text: &[Span]| {
        shown.extend(text.iter().map(|span| &*span.text));
        shown.push(' ');
    };
    for block in deck.slides.iter().flat_map(|slide| &slide.blocks) {
        match &block.content {
            Content::Heading { text, .. } | Content::Text(text) | Content::Image { text, .. } => {
                add(text);
            }
            Content::Table(table) => table.rows.iter().flatten().for_each(|cell| add(cell)),
            Content::Code(code) => add(&[Span {
                text: code.clone(),
                style: presentation_service::deck::Style::default(),
            }]),
            Content::Rule => {}
        }
    }
    shown
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_word_is_lost_and_none_is_added((markdown, words, slides) in deck_of_words(), ending in "\n|\r\n|\r") {
        let limits = DeckLimits::default();
        let deck = Deck::parse("T", &markdown.replace('\n', &ending), &limits).unwrap();
        prop_assert_eq!(deck.slides.len(), slides);
        prop_assert_eq!(&deck.warnings, &[""; 0]);
        let text = shown(&deck);
        let is_word = |word: &&str| word.starts_with('w') && word.ends_with('w');
        let found: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(is_word).collect();
        let expected: Vec<String> = (0..words).map(|word| format!("w{word}w")).collect();
        prop_assert_eq!(found, expected, "{}", markdown);
        prop_assert!(!text.contains("hidden"));
    }

    #[test]
    fn any_text_is_read_or_refused(title in any::<String>(), markdown in any::<String>()) {
        let _ = Deck::parse(&title, &markdown, &DeckLimits::default());
        let front = format!("---\ntitle: {markdown}\n---\n{markdown}");
        let _ = Deck::parse(&title, &front, &DeckLimits::default());
    }
}

#[tokio::test]
async fn a_full_slide_has_several_pictures_and_as_many_frames() {
    let service = Service::start(Arc::new(TextStudio::new(PAGE))).await;
    let deck = format!("# One\n\n---\n\n{}", "- a line of a list\n".repeat(60));
    let response = service.post_deck("Full", &deck).await;
    let path = response.headers()["location"].to_str().unwrap().to_owned();
    let view = service.ended(&path).await;
    assert_eq!((&*view.status, view.reason), ("completed", None));
    let pictures = view.payload.slides;
    assert!((3..=8).contains(&pictures), "{pictures}");
    let file = service
        .get(&view.payload.file.unwrap())
        .await
        .bytes()
        .await
        .unwrap();
    assert_eq!(frames(&file), pictures);
    let [directory] = &service.directories()[..] else {
        panic!("one directory");
    };
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), pictures + 1);
    for slide in 1..=pictures {
        let response = service.get(&format!("{path}/slides/{slide}")).await;
        assert!(response.status().is_success(), "slide {slide}");
    }
}

#[tokio::test]
async fn what_is_not_drawn_is_a_warning_of_the_presentation() {
    let service = Service::start(Arc::new(TextStudio::new(PAGE))).await;
    let deck = "# 漢\n\n---\nlayout: center\n---\n\nb <!-- fine -->\n\n---\n\nc\n\n<!-- no end";
    let response = service.post_deck("Warned", deck).await;
    let path = response.headers()["location"].to_str().unwrap().to_owned();
    let view = service.ended(&path).await;
    assert_eq!((&*view.status, view.payload.slides), ("completed", 3));
    let id: JobId = view.id.parse().unwrap();
    let read = service
        .state
        .registry
        .read(id, |record| record.payload.warnings().to_vec());
    assert_eq!(
        read.unwrap(),
        [
            "The settings above slide 2 have no effect and are not shown: layout.",
            "A comment on slide 3 has no end (`-->`), and the text after it is not shown.",
            "Slide 1: 1 character cannot be drawn, because no font has it: U+6F22.",
        ]
    );
}

/// A studio that needs many pages for each slide.
struct Verbose(usize);

impl Studio for Verbose {
    fn painter(&self) -> Box<dyn Painter> {
        Box::new(Self(self.0))
    }
}

impl Painter for Verbose {
    fn arrange(&mut self, _: &Deck, _: usize) -> Result<Arrangement, Box<dyn Error + Send + Sync>> {
        let (pages, warnings) = (self.0, Vec::new());
        Ok(Arrangement { pages, warnings })
    }

    fn paint(&mut self, _: &Deck, page: usize) -> common::Painting {
        Ok(common::picture(page))
    }
}

#[tokio::test]
async fn a_deck_of_too_many_pictures_fails_with_that_reason() {
    for (pages, expected) in [(150, "completed"), (151, "failed")] {
        let service = Service::start(Arc::new(Verbose(pages))).await;
        let path = service.submit(2).await;
        let view = service.ended(&path).await;
        assert_eq!(view.status, expected, "{view:?}");
        if expected == "failed" {
            assert!(
                view.reason
                    .unwrap()
                    .starts_with("the deck needs more than 300 pictures")
            );
        } else {
            assert_eq!(view.payload.slides, 300);
        }
    }
}

/// P13: the arrangement stops between two slides.
#[tokio::test]
async fn a_stop_ends_the_arrangement() {
    struct Waiting(std::sync::mpsc::Sender<usize>, Arc<std::sync::Barrier>);
    impl Painter for Waiting {
        fn arrange(
            &mut self,
            _: &Deck,
            slide: usize,
        ) -> Result<Arrangement, Box<dyn Error + Send + Sync>> {
            self.0.send(slide)?;
            if slide == 0 {
                self.1.wait();
                self.1.wait();
            }
            let (pages, warnings) = (1, Vec::new());
            Ok(Arrangement { pages, warnings })
        }
        fn paint(&mut self, _: &Deck, _: usize) -> Result<Canvas, Box<dyn Error + Send + Sync>> {
            Err("no page is drawn".into())
        }
    }
    struct Patient(std::sync::Mutex<Option<Waiting>>);
    impl Studio for Patient {
        fn painter(&self) -> Box<dyn Painter> {
            Box::new(self.0.lock().unwrap().take().expect("one painter"))
        }
    }
    let (arranged, slides) = std::sync::mpsc::channel();
    let barrier = Arc::new(std::sync::Barrier::new(2));
    let painter = Waiting(arranged, Arc::clone(&barrier));
    let service = Service::start(Arc::new(Patient(Some(painter).into()))).await;
    let path = service.submit(3).await;
    let wait =
        |barrier: Arc<std::sync::Barrier>| tokio::task::spawn_blocking(move || barrier.wait());
    wait(Arc::clone(&barrier)).await.unwrap();
    service.delete(&path).await;
    wait(barrier).await.unwrap();
    // The channel closes when the painter is dropped.
    let seen: Vec<usize> = tokio::task::spawn_blocking(move || slides.iter().collect())
        .await
        .unwrap();
    assert_eq!(seen, [0]);
    assert_eq!(service.ended(&path).await.status, "cancelled");
}

/// Starts the program with fonts that it cannot use, and returns its error.
fn refused_fonts(directory: &Path) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_presentation-service"))
        .args(["serve", "--port", "0", "--log", "off", "--fonts"])
        .arg(directory)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "it did not listen");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn fonts_that_cannot_be_used_end_the_program_with_their_names() {
    let directory = tempfile::tempdir().unwrap();
    let error = refused_fonts(directory.path());
    assert!(
        error.contains("no .ttf, .otf, .ttc or .otc file"),
        "{error}"
    );
    std::fs::write(directory.path().join("Broken.otf"), "no font").unwrap();
    let error = refused_fonts(directory.path());
    assert!(error.contains("Broken.otf: not a font"), "{error}");
    let error = refused_fonts(&directory.path().join("missing"));
    assert!(error.contains("missing: No such file"), "{error}");
}
