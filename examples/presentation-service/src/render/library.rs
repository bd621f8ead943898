//! The fonts of a studio. Some are compiled in, so that the usual scripts need no installed font;
//! others can be loaded from directories.

use cosmic_text::fontdb::{Database, FaceInfo, Source, Stretch, Style, Weight};
use skrifa::raw::TableProvider;
use skrifa::{FontRef, MetadataProvider};
use std::collections::HashSet;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// The content of a font file.
type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Weights from this one on are bold.
const BOLD: u16 = 600;

/// Number of compiled-in faces.
const EMBEDDED: usize = 10;

/// The fonts that a studio draws with. Clones share them.
#[derive(Debug, Clone)]
pub struct FontLibrary {
    faces: Arc<Vec<Face>>,
}

/// The characters that a face is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Running text.
    Text,
    /// Code.
    Code,
    /// Emoji.
    Emoji,
    /// Scripts that the other fonts lack.
    Other,
}

/// One typeface of one weight and slant.
#[derive(Debug)]
pub(super) struct Face {
    pub(super) info: FaceInfo,
    pub(super) family: String,
    /// The language whose forms of Chinese characters it has, if there are faces for others.
    han: Option<Han>,
    /// The characters that it has, as ranges in order.
    coverage: Vec<RangeInclusive<u32>>,
    role: Role,
}

/// How a character is to be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Wanted {
    pub(super) code: bool,
    pub(super) strong: bool,
    pub(super) emphasised: bool,
}

/// The variant of Chinese characters that a deck is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum Han {
    #[default]
    Chinese,
    Japanese,
    Korean,
}

impl Han {
    /// The variant of a family like "Noto Sans CJK JP".
    fn of(family: &str) -> Option<Self> {
        match family.rsplit_once(" CJK ")?.1 {
            "JP" => Some(Self::Japanese),
            "KR" => Some(Self::Korean),
            "SC" => Some(Self::Chinese),
            _ => None,
        }
    }
}

/// The reason why fonts cannot be loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FontError {
    /// A directory or a file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The directory or the file.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
    /// A directory has no font.
    #[error("{}: there is no .ttf, .otf, .ttc or .otc file in this directory", path.display())]
    NoFonts {
        /// The directory.
        path: PathBuf,
    },
    /// A file is damaged, or is not a font.
    #[error("{}: not a font that can be drawn: {why}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The first fault that was found.
        why: String,
    },
}

impl Default for FontLibrary {
    fn default() -> Self {
        let embedded: [(&'static [u8], Role); EMBEDDED] = [
            (notosans::REGULAR_TTF, Role::Text),
            (notosans::BOLD_TTF, Role::Text),
            (notosans::ITALIC_TTF, Role::Text),
            (notosans::BOLD_ITALIC_TTF, Role::Text),
            (dejavu::sans_mono::regular(), Role::Code),
            (dejavu::sans_mono::bold(), Role::Code),
            (dejavu::sans::regular(), Role::Other),
            (dejavu::sans::bold(), Role::Other),
            (epaint_default_fonts::NOTO_EMOJI_REGULAR, Role::Emoji),
            (epaint_default_fonts::EMOJI_ICON, Role::Emoji),
        ];
        let faces = embedded.into_iter().flat_map(|(bytes, role)| {
            // The bytes are compiled in, so this does not depend on the machine.
            let bytes: Bytes = Arc::new(bytes);
            let faces = Face::read(&bytes);
            let faces = faces.expect("an embedded font can be read");
            faces.into_iter().map(move |face| Face { role, ..face })
        });
        Self {
            faces: Arc::new(faces.collect()),
        }
    }
}

impl FontLibrary {
    /// Returns the compiled-in fonts and those in the directories, whose subdirectories count as
    /// well. The compiled-in fonts come first: the others are for the characters that these lack.
    /// The files are read now, and changes of them have no effect later.
    ///
    /// # Errors
    ///
    /// Returns a [`FontError`] that names the directory or file.
    pub fn with_directories(directories: &[PathBuf]) -> Result<Self, FontError> {
        let mut found = Vec::new();
        for directory in directories {
            let files = files(directory)?;
            if files.is_empty() {
                let path = directory.clone();
                return Err(FontError::NoFonts { path });
            }
            for path in files {
                let bytes = std::fs::read(&path).map_err(|source| {
                    let path = path.clone();
                    FontError::Unreadable { path, source }
                })?;
                let bytes: Bytes = Arc::new(bytes);
                let faces = Face::read(&bytes);
                found.extend(faces.map_err(|why| FontError::Broken { path, why })?);
            }
        }
        // The most ordinary face of a script is the first. The order of the files decides the rest.
        found.sort_by_key(|face| (face.is_bold(), face.oddity()));
        let Self { faces } = Self::default();
        let mut faces = Arc::into_inner(faces).unwrap_or_default();
        let mut known: HashSet<(String, Weight, Style)> = faces.iter().map(Face::key).collect();
        let mut covered = HashSet::new();
        let (mut families, mut forms) = (HashSet::new(), HashSet::new());
        for face in found {
            // A regular face is kept for the characters that it adds, or if its family has been
            // kept for another language's forms. A bold one is kept for its family.
            let adds = face.characters().any(|c| !covered.contains(&c));
            let is_form = face.han.is_some_and(|han| !forms.contains(&han));
            let wanted = if face.is_bold() {
                families.contains(&face.family)
            } else {
                adds || is_form
            };
            if wanted && known.insert(face.key()) {
                covered.extend(face.characters());
                families.insert(face.family.clone());
                forms.extend(face.han);
                faces.push(face);
            }
        }
        Ok(Self {
            faces: Arc::new(faces),
        })
    }

    pub(super) fn face(&self, face: usize) -> &Face {
        &self.faces[face]
    }

    /// The compiled-in faces, which every painter loads.
    pub(super) fn embedded() -> impl Iterator<Item = usize> {
        0..EMBEDDED
    }

    /// The face that suits a character and its marks best. `None` if no face has the character.
    pub(super) fn choose(&self, cluster: &str, wanted: Wanted, han: Han) -> Option<usize> {
        let drawn = |c: &char| !crate::deck::is_invisible(*c);
        let base = cluster.chars().find(drawn)?;
        let faces = self.faces.iter().enumerate();
        faces
            .filter(|(_, face)| face.has(base))
            .min_by_key(|(at, face)| {
                let missing = cluster
                    .chars()
                    .filter(drawn)
                    .filter(|&c| !face.has(c))
                    .count();
                (missing, face.distance(base, wanted, han), *at)
            })
            .map(|(at, _)| at)
    }
}

impl Face {
    /// Reads every face of a font file.
    fn read(bytes: &Bytes) -> Result<Vec<Self>, String> {
        let mut database = Database::new();
        let ids = database.load_font_source(Source::Binary(Arc::clone(bytes)));
        if ids.is_empty() {
            return Err("its tables cannot be read".to_owned());
        }
        ids.into_iter()
            .filter_map(|id| database.face(id))
            .map(|info| {
                let font = FontRef::from_index((**bytes).as_ref(), info.index);
                let font = font.map_err(|error| error.to_string())?;
                let family = info.families.first();
                let family = family.map_or_else(String::new, |(name, _)| name.clone());
                Ok(Self {
                    info: info.clone(),
                    han: Han::of(&family),
                    family,
                    coverage: coverage(&font)?,
                    role: Role::Other,
                })
            })
            .collect()
    }

    /// Whether the face has a character.
    pub(super) fn has(&self, c: char) -> bool {
        let c = u32::from(c);
        let after = self.coverage.partition_point(|range| *range.end() < c);
        self.coverage
            .get(after)
            .is_some_and(|range| range.contains(&c))
    }

    fn characters(&self) -> impl Iterator<Item = u32> + '_ {
        self.coverage.iter().cloned().flatten()
    }

    /// The distance of the face from the wanted look; less is better.
    fn distance(&self, base: char, wanted: Wanted, han: Han) -> (u8, u8, bool, bool) {
        let is_pictograph = base >= '\u{1f000}';
        let role = match self.role {
            Role::Emoji if is_pictograph => 0,
            Role::Code if wanted.code => 1,
            Role::Text if !wanted.code => 1,
            Role::Text => 3,
            Role::Other => 2,
            Role::Emoji => 4,
            Role::Code => 5,
        };
        // Fonts of other scripts have some of the punctuation as well.
        let form = match self.han {
            Some(form) if form == han && is_east_asian(base) => 0,
            None => 1,
            Some(_) => 2,
        };
        let slanted = self.info.style != Style::Normal;
        (
            role,
            form,
            slanted != wanted.emphasised,
            self.is_bold() != wanted.strong,
        )
    }

    fn key(&self) -> (String, Weight, Style) {
        (self.family.clone(), self.info.weight, self.info.style)
    }

    fn is_bold(&self) -> bool {
        self.info.weight.0 >= BOLD
    }

    /// How unusual the face is for running text.
    fn oddity(&self) -> (bool, bool, bool, u16, usize) {
        let family = &self.family;
        let is_special = ["Serif", "Mono", "Nastaliq", "Display", "Looped", "UI"]
            .iter()
            .any(|word| family.contains(word));
        let weight = if self.is_bold() {
            Weight::BOLD
        } else {
            Weight::NORMAL
        };
        (
            self.info.style != Style::Normal,
            self.info.stretch != Stretch::Normal,
            is_special,
            self.info.weight.0.abs_diff(weight.0),
            // "Noto Sans Arabic" is before "Noto Kufi Arabic".
            usize::from(!family.contains("Sans")),
        )
    }
}

/// Whether a character is written in Chinese, Japanese or Korean, punctuation included.
fn is_east_asian(c: char) -> bool {
    matches!(
        c,
        '\u{1100}'..='\u{11ff}' | '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}'
    )
}

/// The characters of a font. An error if a table is not completely in the file, or if one that is
/// needed for drawing is missing.
fn coverage(font: &FontRef<'_>) -> Result<Vec<RangeInclusive<u32>>, String> {
    for record in font.table_directory().table_records() {
        let tag = record.tag();
        if font.table_data(tag).is_none() {
            return Err(format!("the table {tag} is cut off"));
        }
    }
    let needed = [
        font.head().err(),
        font.hhea().err(),
        font.hmtx().err(),
        font.maxp().err(),
        font.cmap().err(),
    ];
    if let Some(error) = needed.into_iter().flatten().next() {
        return Err(error.to_string());
    }
    let mut characters: Vec<u32> = font.charmap().mappings().map(|(c, _)| c).collect();
    characters.sort_unstable();
    characters.dedup();
    let mut ranges: Vec<RangeInclusive<u32>> = Vec::new();
    for c in characters {
        match ranges.last_mut() {
            Some(last) if last.end() + 1 == c => *last = *last.start()..=c,
            _ => ranges.push(c..=c),
        }
    }
    if ranges.is_empty() {
        return Err("it has no characters".to_owned());
    }
    Ok(ranges)
}

/// The font files in a directory and its subdirectories, in a fixed order.
fn files(directory: &Path) -> Result<Vec<PathBuf>, FontError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        |source| FontError::Unreadable { path, source }
    };
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = std::fs::read_dir(&directory).map_err(unreadable(&directory))?;
        for entry in entries {
            let entry = entry.map_err(unreadable(&directory))?;
            let path = entry.path();
            // A link to a directory is not followed, because it can lead in a circle.
            if entry.file_type().map_err(unreadable(&path))?.is_dir() {
                directories.push(path);
            } else if is_font(&path) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn is_font(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let extension = extension.map(str::to_ascii_lowercase);
    matches!(extension.as_deref(), Some("ttf" | "otf" | "ttc" | "otc"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A directory with these files.
    fn directory(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        directory
    }

    fn load(directory: &tempfile::TempDir) -> Result<FontLibrary, FontError> {
        FontLibrary::with_directories(&[directory.path().to_owned()])
    }

    #[test]
    fn fonts_are_found_in_subdirectories_and_other_files_are_ignored() {
        let serif = dejavu::serif::regular();
        let directory = directory(&[("a/b/Serif.TTF", serif), ("README", b"no font")]);
        let library = load(&directory).unwrap();
        let families: Vec<&str> = library.faces.iter().map(|face| &*face.family).collect();
        assert_eq!(families.len(), EMBEDDED + 1);
        assert_eq!(families[EMBEDDED], "DejaVu Serif");
    }

    #[test]
    fn a_bold_face_is_kept_for_its_family_and_a_known_face_only_once() {
        let directory = directory(&[
            ("1.ttf", dejavu::serif::bold()),
            ("2.ttf", dejavu::serif::regular()),
            ("3.ttf", dejavu::serif::regular()),
            ("4.ttf", dejavu::sans::regular()),
            ("5.ttf", dejavu::serif_condensed::bold()),
        ]);
        let library = load(&directory).unwrap();
        let added: Vec<(&str, u16)> = library.faces[EMBEDDED..]
            .iter()
            .map(|face| (&*face.family, face.info.weight.0))
            .collect();
        assert_eq!(added, [("DejaVu Serif", 400), ("DejaVu Serif", 700)]);
    }

    #[test]
    fn damaged_files_are_named() {
        let whole = dejavu::sans::regular();
        let half = &whole[..whole.len() / 2];
        let mut no_cmap = whole.to_vec();
        let at = no_cmap.windows(4).position(|tag| tag == b"cmap").unwrap();
        no_cmap[at] = b'x';
        for (name, bytes) in [
            ("empty.ttf", &[][..]),
            ("text.otf", b"hello"),
            ("half.ttf", half),
            ("no-cmap.ttf", &no_cmap),
        ] {
            let directory = directory(&[("whole.ttf", whole), (name, bytes)]);
            let error = load(&directory).unwrap_err();
            assert!(matches!(error, FontError::Broken { .. }), "{error:?}");
            let error = error.to_string();
            assert!(
                error.contains(name) && error.contains("not a font"),
                "{error}"
            );
        }
    }

    #[test]
    fn directories_without_fonts_are_errors() {
        let empty = directory(&[("README", b"no font")]);
        assert!(matches!(load(&empty), Err(FontError::NoFonts { .. })));
        let missing = empty.path().join("missing");
        let error = FontLibrary::with_directories(&[missing]).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }

    #[test]
    fn the_face_follows_the_text() {
        let library = FontLibrary::default();
        let chosen = |text: &str, wanted: Wanted| {
            let face = library.choose(text, wanted, Han::default());
            face.map(|face| &*library.face(face).info.post_script_name)
        };
        let plain = Wanted::default();
        let strong = Wanted {
            strong: true,
            ..plain
        };
        let code = Wanted {
            code: true,
            ..plain
        };
        let emphasised = Wanted {
            emphasised: true,
            ..plain
        };
        for (text, wanted, expected) in [
            ("a", plain, "NotoSans"),
            ("ệ", strong, "NotoSans-Bold"),
            ("ж", emphasised, "NotoSans-Italic"),
            ("λ", code, "DejaVuSansMono"),
            ("ش", plain, "DejaVuSans"),
            ("ש", strong, "DejaVuSans-Bold"),
            ("→", code, "DejaVuSansMono"),
            ("🎉", strong, "NotoEmoji"),
            ("a\u{301}", plain, "NotoSans"),
        ] {
            assert_eq!(chosen(text, wanted), Some(expected), "{text}");
        }
        assert_eq!(chosen("漢", plain), None);
    }

    #[test]
    fn every_language_has_its_own_forms_of_chinese_characters() {
        assert_eq!(Han::of("Noto Sans CJK JP"), Some(Han::Japanese));
        assert_eq!(Han::of("Noto Sans CJK KR"), Some(Han::Korean));
        assert_eq!(Han::of("Noto Sans CJK SC"), Some(Han::Chinese));
        assert_eq!(Han::of("Noto Sans"), None);
    }
}
