//! The service's face: [`ServiceHandle`].

mod handle;
mod health;

pub use handle::{Reply, ServiceError, ServiceHandle};
pub use health::{Health, HealthBoard, Problem};
