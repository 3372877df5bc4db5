//! Services, which are checked and otherwise ignored.

use std::collections::HashSet;

use super::{Parser, Read};

impl Parser<'_, '_> {
    pub(super) fn service(&mut self) -> Read<()> {
        self.next += 1;
        self.take()?;
        self.expect("{")?;
        let mut options = HashSet::new();
        loop {
            match self.peek() {
                Some("}") => {
                    self.next += 1;
                    self.optional_semicolon();
                    return Ok(());
                }
                Some("option") => self.option(&mut options)?,
                Some("rpc") => self.rpc()?,
                Some(token) => return self.refuse(format!("Unexpected token in service: {token}")),
                None => return self.refuse("No closing tag for service"),
            }
        }
    }

    pub(super) fn rpc(&mut self) -> Read<()> {
        self.next += 1;
        self.take()?;
        self.rpc_type()?;
        self.expect("returns")?;
        self.rpc_type()?;
        if self.peek() == Some(";") {
            self.next += 1;
            return Ok(());
        }
        self.expect("{")?;
        let mut options = HashSet::new();
        loop {
            match self.peek() {
                Some("}") => {
                    self.next += 1;
                    self.optional_semicolon();
                    return Ok(());
                }
                Some("option") => self.option(&mut options)?,
                Some(token) => return self.refuse(format!("Unexpected token in rpc options: {token}")),
                None => return self.refuse("No closing tag for rpc"),
            }
        }
    }

    pub(super) fn rpc_type(&mut self) -> Read<()> {
        self.expect("(")?;
        if self.take()? == "stream" {
            self.take()?;
        }
        self.expect(")")
    }
}
