use clap::{Args, ValueEnum};

/// `coattail completions`
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// The shells that can ask `coattail` what may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// source <(coattail completions bash)
    Bash,
    /// source <(coattail completions zsh)
    Zsh,
    /// coattail completions fish | source
    Fish,
    /// coattail completions powershell | Out-String | Invoke-Expression
    Powershell,
}

impl Shell {
    /// As clap names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
        }
    }
}
