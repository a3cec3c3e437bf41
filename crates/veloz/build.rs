//! Packs the built dashboard (`web/dist`) into the program: each file gzipped, in one table.
//!
//! Without a built dashboard (`cargo build` in a fresh clone) the table holds one page that says what to
//! do. A build of the dashboard afterwards is seen, and packed by the next `cargo build`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, error::Error, fs};

use flate2::{Compression, write::GzEncoder};

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>VeloZ</title>\
    <h1>The dashboard is not built</h1><p>Run <code>make build</code>, or <code>npm ci</code> and \
    <code>npm run build</code> in <code>web/</code> and then <code>cargo build</code>. The gateway itself \
    is running: <a href=\"/api/openapi.json\">its API</a>.</p></html>\n";

fn main() -> Result<(), Box<dyn Error>> {
    let web = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../web");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let dist = web.join("dist");
    let mut files = Vec::new();
    if dist.join("index.html").exists() {
        println!("cargo:rerun-if-changed={}", dist.display());
        list(&dist, "", &mut files)?;
    } else {
        println!("cargo:rerun-if-changed={}", web.display());
        let page = out.join("not_built.html");
        fs::write(&page, NOT_BUILT)?;
        files.push(("/index.html".to_owned(), page));
    }
    files.sort();
    let mut table = String::from("&[\n");
    for (i, (path, file)) in files.iter().enumerate() {
        let packed = out.join(format!("page{i}.gz"));
        let mut encoder = GzEncoder::new(fs::File::create(&packed)?, Compression::best());
        encoder.write_all(&fs::read(file)?)?;
        encoder.finish()?;
        writeln!(table, "    ({path:?}, include_bytes!({:?})),", packed.display().to_string())?;
    }
    table.push_str("]\n");
    Ok(fs::write(out.join("page.rs"), table)?)
}

/// Every file under `dir`, with its path from there.
fn list(
    dir: &Path,
    prefix: &str,
    files: &mut Vec<(String, PathBuf)>,
) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &path, files)?;
        } else {
            files.push((path, entry.path()));
        }
    }
    Ok(())
}
