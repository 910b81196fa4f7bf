//! What archive in what compression it is, by the first bytes; the name of a file is no evidence. All codecs are in this process:
//! no program is looked up, no option of one can be passed (R12).

use std::io::{self, BufRead, BufReader, Read};

use crate::Error;
use crate::stream::cpio::Form;

/// How many compressions may be wrapped in each other.
const LAYERS: usize = 4;
/// Memory that the xz decoder may use, in bytes: `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;
/// Largest zstd window, as a power of two: 8 MiB is what every level up to 19 uses, 128 MiB what `--ultra` does.
const ZSTD_WINDOW: u32 = 27;
/// Bytes that are looked at: a tar header.
const HEAD: usize = 512;

const DUMP: &str =
    "an archive of dump(8), which only `build -m template` takes, from a file: restore(8) has to read it";

/// A stream with a view of its first bytes.
struct Peeked<'a> {
    head: Vec<u8>,
    rest: Box<dyn Read + Send + 'a>,
}

impl<'a> Peeked<'a> {
    fn new(mut rest: Box<dyn Read + Send + 'a>) -> io::Result<Self> {
        let mut head = Vec::with_capacity(HEAD);
        (&mut rest).take(HEAD as u64).read_to_end(&mut head)?;
        Ok(Self { head, rest })
    }

    fn join(self) -> impl BufRead + Send + 'a {
        BufReader::with_capacity(64 << 10, io::Cursor::new(self.head).chain(self.rest))
    }
}

/// A compression that is undone here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// gzip(1)
    Gzip,
    /// bzip2(1)
    Bzip2,
    /// xz(1)
    Xz,
    /// zstd(1)
    Zstd,
}

impl Codec {
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    fn decode<'a>(self, input: impl BufRead + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Self::Xz => Box::new(xz(input)?),
            Self::Zstd => Box::new(zstd(input)?),
        })
    }
}

/// What an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Archive {
    /// tar(1)
    Tar,
    /// cpio(1)
    Cpio,
    /// dump(8): it names files by their inodes, and restore(8) knows how to unpack them; here nothing does.
    Dump,
}

/// An archive without its compressions.
pub(crate) struct Opened<'a> {
    pub stream: Box<dyn Read + Send + 'a>,
    pub archive: Archive,
    /// Whether there were any.
    pub compressed: bool,
}

/// The archive inside `input`.
pub(crate) fn open<'a>(input: impl Read + Send + 'a) -> Result<Opened<'a>, Error> {
    let (layers, peeked) = uncover(input)?;
    let archive = match archive(&peeked.head) {
        Ok(Archive::Dump) => Err(DUMP),
        other => other,
    };
    let archive = archive.map_err(|found| Error::NotTar { found })?;
    Ok(Opened { stream: Box::new(peeked.join()), archive, compressed: !layers.is_empty() })
}

/// How an archive is wrapped, outermost first, and what it is; `None` if it is none that is known.
///
/// # Errors
/// [`Error::Read`], also if the compressed bytes are broken; [`Error::NotTar`] after too many compressions.
pub fn layers<'a>(input: impl Read + Send + 'a) -> Result<(Vec<Codec>, Option<Archive>), Error> {
    let (layers, peeked) = uncover(input)?;
    Ok((layers, archive(&peeked.head).ok()))
}

/// What an archive of dump(8) holds without its compressions; `None` if it is something else.
///
/// # Errors
/// As [`layers`].
pub fn dump<'a>(input: impl Read + Send + 'a) -> Result<Option<impl Read + 'a>, Error> {
    let (_, peeked) = uncover(input)?;
    Ok(is_dump(&peeked.head).then(|| peeked.join()))
}

/// Takes all compressions off.
fn uncover<'a>(input: impl Read + Send + 'a) -> Result<(Vec<Codec>, Peeked<'a>), Error> {
    let failed = |source| Error::Read { entry: None, source };
    let (mut inner, mut layers): (Box<dyn Read + Send + 'a>, _) = (Box::new(input), Vec::new());
    for _ in 0..=LAYERS {
        let peeked = Peeked::new(inner).map_err(failed)?;
        let Some(codec) = Codec::of(&peeked.head) else {
            return Ok((layers, peeked));
        };
        layers.push(codec);
        inner = codec.decode(peeked.join()).map_err(failed)?;
    }
    Err(Error::NotTar { found: "compressed more than four times over" })
}

fn xz<R: BufRead + Send>(input: R) -> io::Result<impl Read + Send> {
    let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
    Ok(liblzma::bufread::XzDecoder::new_stream(input, stream))
}

fn zstd<R: BufRead + Send>(input: R) -> io::Result<impl Read + Send> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
    decoder.window_log_max(ZSTD_WINDOW)?;
    Ok(decoder)
}

/// What it is, or what else it surely is. Source of the numbers: util-vserver's `h2ext.desc`.
fn archive(head: &[u8]) -> Result<Archive, &'static str> {
    match head {
        [] => Err("nothing: it is empty"),
        _ if Form::of(head).is_some() => Ok(Archive::Cpio),
        [0o307, 0o161, ..] | [0o161, 0o307, ..] => Err(
            "a cpio archive of the old kind that is not the same on all machines (`cpio -o -H newc` writes the other)",
        ),
        [b'0', b'7', b'0', b'7', b'0', ..] => Err("a cpio archive of an unknown kind"),
        _ if is_dump(head) => Ok(Archive::Dump),
        [b'P', b'K', 3, 4, ..] => Err("a zip archive"),
        _ if head.len() < HEAD => Err("something shorter than one header"),
        _ if head.iter().all(|b| *b == 0) => Ok(Archive::Tar),
        _ if tar::Header::from_byte_slice(head).cksum().is_ok_and(|sum| sum == crate::fields::checksum(head)) => {
            Ok(Archive::Tar)
        }
        _ => Err("something without a tar header"),
    }
}

/// `NFS_MAGIC` or `OFS_MAGIC` at byte 24, of a machine of either byte order. Source: `protocols/dumprestore.h`.
fn is_dump(head: &[u8]) -> bool {
    let magic: Option<&[u8; 4]> = head.get(24..).and_then(|rest| rest.first_chunk());
    let is = |number: u32| matches!(number, 60_011 | 60_012);
    magic.is_some_and(|bytes| is(u32::from_le_bytes(*bytes)) || is(u32::from_be_bytes(*bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dump_made_is_known_in_any_compression() {
        let mut bytes = vec![1; 2048];
        bytes[24..28].copy_from_slice(&60_012_u32.to_le_bytes());
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut packed, &bytes).unwrap();
        let packed = packed.finish().unwrap();
        for input in [&bytes, &packed] {
            let mut found = Vec::new();
            dump(input.as_slice()).unwrap().unwrap().read_to_end(&mut found).unwrap();
            assert!(found == bytes);
        }
        assert!(dump(&[1; 2048][..]).unwrap().is_none());
    }

    fn refusal(bytes: &[u8]) -> String {
        open(bytes).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn other_things_are_called_by_their_names() {
        assert!(refusal(b"").contains("empty"));
        assert!(refusal(&[0o307, 0o161, 0, 0]).contains("-H newc"));
        assert!(refusal(b"070703").contains("unknown kind"));
        assert!(refusal(&[b'x'; 600]).contains("without a tar header"));
        assert!(refusal(b"hello").contains("shorter"));
        let mut dump = vec![0; 1024];
        dump[24..28].copy_from_slice(&60_012_u32.to_le_bytes());
        assert!(refusal(&dump).contains("dump(8)"));
        dump[24..28].copy_from_slice(&60_011_u32.to_be_bytes());
        assert!(refusal(&dump).contains("restore(8)"));
    }

    #[test]
    fn compression_upon_compression_ends() {
        let mut bytes = vec![0u8; 1024];
        for _ in 0..3 {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, &bytes).unwrap();
            bytes = encoder.finish().unwrap();
        }
        assert!(open(bytes.as_slice()).is_ok());
        for _ in 0..3 {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, &bytes).unwrap();
            bytes = encoder.finish().unwrap();
        }
        assert!(refusal(&bytes).contains("four times"));
    }
}
