//! `bodega user`: users made and changed by the operator.

use std::io::{BufRead, IsTerminal};

use clap::{Args, Subcommand};
use validator::Validate;

use super::Failure;
use crate::{
    accounts::{
        AccountError, Accounts, Email, MAX_PASSWORD, MIN_PASSWORD, NewPassword, Role, Tokens,
    },
    config::Config,
    mongo::Mongo,
};

/// What the operator does with users.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Make a user; the password is asked for, or read from standard input.
    Create(CreateArgs),
    /// Change a user's role, or whether the user may sign in; ends the user's sign-ins.
    Set(SetArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// The address the account is known by.
    #[arg(long)]
    email: String,
    /// What the user may do.
    #[arg(long, value_enum)]
    role: Role,
    /// What to call the person.
    #[arg(long)]
    name: Option<String>,
    /// Read the password from the first line of standard input.
    #[arg(long)]
    password_stdin: bool,
    /// Succeed without a change where the e-mail has an account.
    #[arg(long)]
    if_absent: bool,
}

#[derive(Debug, Args)]
#[group(id = "change", required = true, multiple = true, args = ["role", "enabled"])]
pub(super) struct SetArgs {
    /// The address the account is known by.
    #[arg(long)]
    email: String,
    /// What the user may do from now on.
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// Whether the user may sign in.
    #[arg(long, action = clap::ArgAction::Set)]
    enabled: Option<bool>,
}

/// Runs the command.
pub(super) async fn run(
    command: UserCommand,
    mongo: &Mongo,
    config: &Config,
) -> Result<(), Failure> {
    let accounts = Accounts::new(mongo, &Tokens::new(&config.auth), &config.auth);
    match command {
        UserCommand::Create(args) => create(args, &accounts).await,
        UserCommand::Set(args) => set(args, &accounts).await,
    }
}

async fn create(args: CreateArgs, accounts: &Accounts) -> Result<(), Failure> {
    let email = Email::parse(&args.email)?;
    if args.if_absent && accounts.find_user(&email).await?.is_some() {
        println!("{email} has an account");
        return Ok(());
    }
    let password = read_password(args.password_stdin)?;
    match accounts
        .create_user(email.clone(), &password, args.role, args.name)
        .await
    {
        Ok(user) => {
            println!("{email} is {} {}", user.role.as_str(), user.id);
            Ok(())
        }
        // Another process was faster.
        Err(AccountError::EmailTaken) if args.if_absent => {
            println!("{email} has an account");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn read_password(from_stdin: bool) -> Result<NewPassword, Failure> {
    let typed = if from_stdin {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    } else if std::io::stdin().is_terminal() && console::Term::stderr().is_term() {
        eprint!("password: ");
        console::Term::stderr().read_secure_line()?
    } else {
        return Err("no terminal to ask for the password; use --password-stdin".into());
    };
    let password = NewPassword::new(typed);
    if password.validate().is_err() {
        let rule = format!("a password has from {MIN_PASSWORD} to {MAX_PASSWORD} characters");
        return Err(rule.into());
    }
    Ok(password)
}

async fn set(args: SetArgs, accounts: &Accounts) -> Result<(), Failure> {
    let email = Email::parse(&args.email)?;
    let user = accounts.find_user(&email).await?;
    let user = user.ok_or_else(|| format!("{email} has no account"))?.id;
    if let Some(role) = args.role {
        accounts.set_role(user, role).await?;
        println!("{email} is {}", role.as_str());
    }
    if let Some(enabled) = args.enabled {
        accounts.set_enabled(user, enabled).await?;
        println!("{email} may {}sign in", if enabled { "" } else { "not " });
    }
    Ok(())
}
