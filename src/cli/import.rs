//! `bodega import` and `bodega export`: whole catalogues, with progress where somebody watches.

use std::{io::IsTerminal, path::PathBuf, time::Duration};

use clap::Args;
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::io::AsyncWriteExt;

use super::Failure;
use crate::{
    audit::Actor,
    catalog::{
        Counts, Exporter, Format, ImportJob, ImportPlan, Importer, Mapping, Progress,
        WriteProductType,
    },
    config::Config,
    mongo::Mongo,
};

/// What is imported, and how.
#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// JSON Lines or CSV (by its name), plain or gzip.
    file: PathBuf,
    /// A mapping file such as those of `config/import`; none: rows in the shop's own shape.
    #[arg(long)]
    mapping: Option<PathBuf>,
    /// A file of product types (a JSON array) to add first; those that exist stay as they are.
    #[arg(long)]
    types: Option<PathBuf>,
    /// Make product types from the data, whatever the mapping says.
    #[arg(long)]
    infer_types: bool,
    /// Look at every row and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Write a line for every row that was refused or changed on purpose, as JSON Lines.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Print the counts as JSON.
    #[arg(long)]
    json: bool,
}

/// Where everything goes.
#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// The file to write, CSV or JSON Lines by its name; `-` is standard output.
    file: PathBuf,
}

pub(super) async fn import(
    config: &Config,
    mongo: &Mongo,
    arguments: ImportArguments,
) -> Result<(), Failure> {
    let importer = Importer::new(mongo, config.store.currency);
    if let Some(types) = &arguments.types {
        let text = std::fs::read_to_string(types)
            .map_err(|error| format!("{}: {error}", types.display()))?;
        let types: Vec<WriteProductType> = serde_json::from_str(&text)?;
        importer.add_types(types).await?;
    }
    let plan = plan_of(&arguments)?;
    let job = importer.begin(&plan).await?;
    if job.rows_done > 0 {
        eprintln!("going on after row {}", job.rows_done);
    }
    let bar = bar(&plan)?;
    let shown = bar.clone();
    let watch = move |progress| match progress {
        Progress::Surveyed(rows) if rows % 1_000 == 0 => {
            shown.set_message(format!("{rows} rows surveyed"));
        }
        Progress::Surveyed(_) => {}
        Progress::Written { bytes, rows } => {
            shown.set_position(bytes);
            shown.set_message(format!("{rows} rows"));
        }
    };
    let job = importer.run(&plan, job, watch).await?;
    bar.finish_and_clear();
    if arguments.json {
        println!("{}", serde_json::to_string(&job.counts)?);
    } else {
        print_counts(&job, arguments.report.is_some());
    }
    Ok(())
}

fn plan_of(arguments: &ImportArguments) -> Result<ImportPlan, Failure> {
    let mapping = match &arguments.mapping {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            let mut mapping = Mapping::parse(&text)?;
            mapping.infer_types |= arguments.infer_types;
            Some(mapping)
        }
        None => None,
    };
    let name = arguments
        .file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    if !arguments.file.is_file() {
        return Err(format!("{}: no such file", arguments.file.display()).into());
    }
    Ok(ImportPlan {
        path: arguments.file.clone(),
        format: Format::of_name(&name),
        name,
        mapping,
        dry_run: arguments.dry_run,
        report: arguments.report.clone(),
        by: Actor::CommandLine,
    })
}

/// A progress bar over the file's bytes; hidden where nobody watches.
fn bar(plan: &ImportPlan) -> Result<ProgressBar, Failure> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let bar = ProgressBar::new(std::fs::metadata(&plan.path)?.len());
    bar.set_style(ProgressStyle::with_template(
        "{bar:40} {percent:>3} % {msg} {elapsed}",
    )?);
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(bar)
}

fn print_counts(job: &ImportJob, reported: bool) {
    let Counts {
        rows,
        created,
        updated,
        unchanged,
        failed,
        repeated,
        notes,
    } = &job.counts;
    let dry = if job.dry_run {
        " (dry run: nothing was written)"
    } else {
        ""
    };
    println!(
        "{rows} rows: {created} created, {updated} updated, {unchanged} unchanged, {failed} failed, {repeated} repeated{dry}"
    );
    for (code, count) in notes {
        println!("  {code}: {count} rows");
    }
    for line in job.lines.iter().take(10) {
        let message = line.message.as_deref().unwrap_or_default();
        println!(
            "  line {}: {} {} {message}",
            line.line,
            line.code,
            line.fields.join(" ")
        );
    }
    if *failed > 10 && !reported {
        println!("  … --report FILE has every line");
    }
}

pub(super) async fn export(mongo: &Mongo, arguments: ExportArguments) -> Result<(), Failure> {
    let format = Format::of_name(&arguments.file.to_string_lossy());
    let mut lines = Box::pin(Exporter::new(mongo).rows(format).await?);
    let mut file: Box<dyn tokio::io::AsyncWrite + Unpin> = if arguments.file.as_os_str() == "-" {
        Box::new(tokio::io::stdout())
    } else {
        Box::new(tokio::fs::File::create(&arguments.file).await?)
    };
    while let Some(chunk) = lines.next().await {
        file.write_all(&chunk?).await?;
    }
    file.flush().await?;
    Ok(())
}
