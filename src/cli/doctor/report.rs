//! A doctor's findings, shown: as text for people, as JSON for scripts, as an exit code.

use std::time::Duration;

use serde_json::{Value, json};

use super::finding::Finding;

/// All that was found.
pub struct Report {
    /// The findings, area by area.
    pub findings: Vec<Finding>,
    /// How long the whole run took.
    pub took: Duration,
}

impl Report {
    /// 0, 1 if there is a warning, 2 if there is a fault.
    #[must_use]
    pub fn severity(&self) -> u8 {
        self.findings.iter().map(|finding| finding.verdict.severity()).max().unwrap_or(0)
    }

    /// For scripts.
    #[must_use]
    pub fn json(&self) -> Value {
        let findings = self.findings.iter().map(|finding| {
            let mut shown = json!({
                "area": finding.check.area().name(), "check": finding.check.name(),
                "status": finding.verdict.name(), "what": finding.what,
            });
            if let Some(members) = shown.as_object_mut() {
                members.extend(finding.verdict.fix().map(|fix| ("fix".to_owned(), json!(fix))));
                members.extend((!finding.about.is_empty()).then(|| ("about".to_owned(), json!(finding.about))));
            }
            shown
        });
        let status = match self.severity() {
            0 => "ok",
            1 => "warning",
            _ => "fault",
        };
        json!({
            "status": status, "took_ms": self.took.as_millis(), "findings": findings.collect::<Vec<_>>(),
        })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let width = self.findings.iter().map(|finding| finding.check.name().len()).max().unwrap_or(0);
        let mut lines = Vec::new();
        let mut area = None;
        for finding in &self.findings {
            if area != Some(finding.check.area()) {
                area = Some(finding.check.area());
                lines.push(finding.check.area().name().to_owned());
            }
            let (status, check) = (finding.verdict.name(), finding.check.name());
            lines.push(format!("  {status:<8} {check:<width$}  {}", finding.what));
            lines.extend(finding.verdict.fix().map(|fix| format!("  {:<8} {:<width$}  fix: {fix}", "", "")));
        }
        let of = |name| self.findings.iter().filter(|finding| finding.verdict.name() == name).count();
        let counts = ["ok", "note", "skipped", "warning", "fault"].map(|name| format!("{} {name}", of(name)));
        lines.push(format!("\n{}; took {} ms", counts.join(", "), self.took.as_millis()));
        lines.join("\n")
    }
}

impl FromIterator<Finding> for Report {
    fn from_iter<T: IntoIterator<Item = Finding>>(findings: T) -> Self {
        Self { findings: findings.into_iter().collect(), took: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Check, *};

    fn report() -> Report {
        [
            Check::StateTtl.skipped("not asked"),
            Check::ActiveKey.ok("RS256 key a signs"),
            Check::NextKey.warning("RS256 key a has signed for 40 d", "mintlet key generate"),
            Check::Disabled.note("1 client is disabled: b").about(vec!["b".to_owned()]),
        ]
        .into_iter()
        .collect()
    }

    #[test]
    fn the_text_has_a_section_for_each_area_and_a_line_for_each_fix() {
        assert_eq!(
            report().text(),
            "tables\n  skipped  state-ttl   not asked\n\
             ring\n  ok       active-key  RS256 key a signs\n  \
             warning  next-key    RS256 key a has signed for 40 d\n                       fix: mintlet key generate\n\
             clients\n  note     disabled    1 client is disabled: b\n\n\
             1 ok, 1 note, 1 skipped, 1 warning, 0 fault; took 0 ms"
        );
    }

    #[test]
    fn the_json_holds_the_same() {
        assert_eq!(
            report().json(),
            json!({"status": "warning", "took_ms": 0, "findings": [
                {"area": "tables", "check": "state-ttl", "status": "skipped", "what": "not asked"},
                {"area": "ring", "check": "active-key", "status": "ok", "what": "RS256 key a signs"},
                {"area": "ring", "check": "next-key", "status": "warning", "what": "RS256 key a has signed for 40 d",
                 "fix": "mintlet key generate"},
                {"area": "clients", "check": "disabled", "status": "note", "what": "1 client is disabled: b", "about": ["b"]},
            ]})
        );
    }

    #[test]
    fn the_worst_finding_is_the_exit_code() {
        let mut report = report();
        assert_eq!(report.severity(), 1);
        report.findings.push(Check::Ring.fault("not there", "make one"));
        assert_eq!((report.severity(), report.json()["status"].as_str()), (2, Some("fault")));
        report.findings.retain(|finding| finding.verdict.severity() == 0);
        assert_eq!((report.severity(), report.json()["status"].as_str()), (0, Some("ok")));
    }
}
