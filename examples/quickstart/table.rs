//! The printed summary of an outcome.

use deltaglider::service::StoredAs;

use super::storing::Outcome;

/// Returns a table with a line for each archive, and the totals below it.
pub(crate) fn table(outcome: &Outcome) -> String {
    let names = outcome.kept.iter().map(|kept| kept.archive.name.chars().count());
    let width = names.max().unwrap_or_default().max(9);
    let mut lines = vec![format!(
        "{:width$}  {:>11} {:>11} {:>8} {:>8} {:>8}",
        "", "original", "stored", "share", "put", "get"
    )];
    for kept in &outcome.kept {
        let (put, get) = (kept.put.as_secs_f64(), kept.get.as_secs_f64());
        let size = kept.archive.size;
        let note = match &kept.stored_as {
            StoredAs::Reference => "  also stored as the reference".to_owned(),
            StoredAs::Delta => String::new(),
            StoredAs::Direct(reason) => format!("  not as a delta: {reason}"),
        };
        lines.push(format!(
            "{:width$}  {:>11} {:>11} {:>8} {put:>6.2} s {get:>6.2} s{note}",
            kept.archive.name,
            human(size),
            human(kept.stored),
            percent(kept.stored, size),
        ));
    }
    if outcome.reference > 0 {
        lines.push(format!("{:width$}  {:>11} {:>11}", "reference", "", human(outcome.reference)));
    }
    let later = outcome.kept.iter().skip(1);
    let (original, stored) =
        later.fold((0, 0), |(a, b), kept| (a + kept.archive.size, b + kept.stored));
    let all = outcome.kept.iter().map(|kept| kept.archive.size).sum();
    lines.push(String::new());
    if original > 0 {
        let share = percent(stored, original);
        lines.push(format!(
            "All but the first:  {share:>8}  {} stored for {}",
            human(stored),
            human(original)
        ));
    }
    let share = percent(outcome.stored, all);
    let mut total = format!(
        "All, all objects:   {share:>8}  {} stored for {}",
        human(outcome.stored),
        human(all)
    );
    if outcome.reference > 0 {
        let share = percent(outcome.reference, all);
        total +=
            &format!(", of which the reference is {share}: it is kept once, however many follow");
    }
    lines.push(total);
    lines.join("\n")
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2} %", part as f64 * 100.0 / whole.max(1) as f64)
}

/// Formats a size in powers of 1024, with one decimal.
pub(crate) fn human(bytes: u64) -> String {
    match bytes {
        0..0x400 => format!("{bytes} B"),
        0x400..0x10_0000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}
