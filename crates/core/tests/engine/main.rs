//! The engine from outside: what it is told, what it tells, and what its journal gives back.

#![cfg(test)]

mod amend;
mod common;
mod kinds;
mod latency;
mod latency_check;
mod matching;
mod money;
mod orders;
mod pairs;
mod races;
mod reports;
mod risk;
