//! What the doctor finds, as data; [`super::report`] shows it.

/// A part of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// What the caller may do.
    Access,
    /// The two tables.
    Tables,
    /// The signing keys.
    Ring,
    /// What is reached over HTTP.
    Endpoint,
    /// The registered clients.
    Clients,
}

impl Area {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Tables => "tables",
            Self::Ring => "ring",
            Self::Endpoint => "endpoint",
            Self::Clients => "clients",
        }
    }
}

macro_rules! checks {
    ($($area:ident { $($check:ident $name:literal,)+ })+) => {
        /// What is looked at; `docs/doctor.md` says of each why.
        #[expect(missing_docs, reason = "docs/doctor.md has them")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Check { $($($check,)+)+ }

        impl Check {
            /// Every check, in the order in which they are shown.
            pub const ALL: &[Self] = &[$($(Self::$check,)+)+];

            /// The part of the deployment that it looks at.
            #[must_use]
            pub fn area(self) -> Area {
                match self { $($(Self::$check)|+ => Area::$area,)+ }
            }

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $($(Self::$check => $name,)+)+ }
            }
        }
    };
}

checks! {
    Access {
        Credentials "credentials",
        Permissions "permissions",
    }
    Tables {
        ClientsTable "clients-table",
        ClientsRecovery "clients-recovery",
        ClientsDeletion "clients-deletion-protection",
        ClientsEncryption "clients-encryption",
        StateTable "state-table",
        StateTtl "state-ttl",
    }
    Ring {
        FileMode "file-mode",
        Ring "ring",
        KidUnique "kid-unique",
        ActiveKey "active-key",
        ClientAlgs "client-algs",
        NextKey "next-key",
        Lead "lead",
        ActivationTie "activation-tie",
        Published "published",
        Prunable "prunable",
    }
    Endpoint {
        Health "health",
        Metadata "metadata",
        Issuer "issuer",
        TokenEndpoint "token-endpoint",
        Jwks "jwks",
        JwksKids "jwks-kids",
        JwksPrivate "jwks-private",
        JwksCache "jwks-cache",
        Speed "speed",
        Clock "clock",
    }
    Clients {
        Clients "clients",
        ClientItems "client-items",
        WorkingSecret "working-secret",
        SecretExpiry "secret-expiry",
        Disabled "disabled",
        SlowHashes "slow-hashes",
    }
}

/// What one check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check.
    pub check: Check,
    /// What was found: one line, nothing secret.
    pub what: String,
    /// How bad it is.
    pub verdict: Verdict,
    /// The clients or keys that it is about, all of them, where `what` names only the first.
    pub about: Vec<String>,
}

/// How bad a finding is. What has to be mended says how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing is wrong.
    Note,
    /// Not looked at; the finding says why.
    Skipped,
    /// It works, and will not for ever or not for everybody.
    Warning {
        /// What to do: one line.
        fix: String,
    },
    /// It does not work.
    Fault {
        /// What to do: one line.
        fix: String,
    },
}

impl Verdict {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Skipped => "skipped",
            Self::Warning { .. } => "warning",
            Self::Fault { .. } => "fault",
        }
    }

    /// What to do.
    #[must_use]
    pub fn fix(&self) -> Option<&str> {
        match self {
            Self::Ok | Self::Note | Self::Skipped => None,
            Self::Warning { fix } | Self::Fault { fix } => Some(fix),
        }
    }

    /// 0 for what needs nothing, 1 for a warning, 2 for a fault: the exit code, too.
    #[must_use]
    pub fn severity(&self) -> u8 {
        match self {
            Self::Ok | Self::Note | Self::Skipped => 0,
            Self::Warning { .. } => 1,
            Self::Fault { .. } => 2,
        }
    }
}

impl Check {
    fn finding(self, what: impl Into<String>, verdict: Verdict) -> Finding {
        Finding { check: self, what: what.into(), verdict, about: Vec::new() }
    }

    pub(super) fn ok(self, what: impl Into<String>) -> Finding {
        self.finding(what, Verdict::Ok)
    }

    pub(super) fn note(self, what: impl Into<String>) -> Finding {
        self.finding(what, Verdict::Note)
    }

    pub(super) fn skipped(self, why: impl Into<String>) -> Finding {
        self.finding(why, Verdict::Skipped)
    }

    pub(super) fn warning(self, what: impl Into<String>, fix: impl Into<String>) -> Finding {
        self.finding(what, Verdict::Warning { fix: fix.into() })
    }

    pub(super) fn fault(self, what: impl Into<String>, fix: impl Into<String>) -> Finding {
        self.finding(what, Verdict::Fault { fix: fix.into() })
    }
}

impl Finding {
    pub(super) fn about(self, about: Vec<String>) -> Self {
        Self { about, ..self }
    }
}
