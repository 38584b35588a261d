//! The configuration of the rotation function: its part of the variables.

use tracing::level_filters::LevelFilter;

use super::{Aws, ConfigFaults, Vars};
use crate::keyring::rotation::Lead;

/// Everything that the rotation function is told.
#[derive(Clone, Debug)]
pub struct RotationConfig {
    /// `SIGNING_KEYS_SECRET_ID`: the one secret that it rotates.
    pub secret_id: String,
    /// `ROTATION_LEAD`.
    pub lead: Lead,
    /// `LOG_LEVEL`.
    pub log_level: LevelFilter,
    /// How AWS is reached.
    pub aws: Aws,
}

impl RotationConfig {
    /// Reads the configuration from environment variables.
    ///
    /// # Errors
    /// [`ConfigFaults`] with every fault there is.
    pub fn from_vars(vars: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigFaults> {
        let mut vars = Vars::new(vars);
        let lead = |text: &str| text.parse().ok().and_then(|seconds| Lead::from_seconds(seconds).ok());
        let config = Self {
            secret_id: vars.required("SIGNING_KEYS_SECRET_ID"),
            lead: vars
                .read("ROTATION_LEAD", |text| lead(text).ok_or("is not 14700..=604800 seconds"))
                .unwrap_or_default(),
            log_level: vars.log_level(),
            aws: vars.aws(),
        };
        if vars.faults.is_empty() { Ok(config) } else { Err(ConfigFaults(vars.faults)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(more: &[(&str, &str)]) -> Result<RotationConfig, ConfigFaults> {
        let vars = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        RotationConfig::from_vars(vars)
    }

    const AWS: [(&str, &str); 3] =
        [("AWS_REGION", "eu-central-1"), ("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];

    #[test]
    fn the_lead_is_a_day_unless_it_is_said_to_be_another_that_is_long_enough() {
        let lead = |text: &str| {
            read(&[&AWS[..], &[("SIGNING_KEYS_SECRET_ID", "keys"), ("ROTATION_LEAD", text)]].concat())
                .map(|config| config.lead.seconds())
        };
        let refused = ConfigFaults(vec!["ROTATION_LEAD is not 14700..=604800 seconds".to_owned()]);
        assert_eq!(lead(""), Ok(86_400));
        assert_eq!(lead("14700"), Ok(14_700));
        assert_eq!(lead("14699"), Err(refused.clone()));
        assert_eq!(lead("a day"), Err(refused));
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let faults = read(&[("ROTATION_LEAD", "1"), ("LOG_LEVEL", "loud")]).unwrap_err().0;
        let named = ["SIGNING_KEYS_SECRET_ID", "ROTATION_LEAD", "LOG_LEVEL", "AWS_REGION", "AWS_ACCESS_KEY_ID"];
        assert!(named.iter().all(|name| faults.iter().any(|fault| fault.starts_with(name))), "{faults:?}");
    }
}
