//! Models by hand: a module for each property, P1 to P13.

use super::harness;

mod p01_forward_only;
mod p02_one_ending;
mod p03_no_lost_update;
mod p04_no_use_after_cleanup;
mod p04_one_job_for_a_key;
mod p05_no_early_cleanup;
mod p06_no_leak;
mod p07_no_deadlock;
mod p08_honest_heartbeat;
mod p09_no_lost_wakeup;
mod p10_fencing;
mod p11_contained_panics;
mod p12_one_instant;
mod p13_requested_stop;
