//! The reference model: the operations on two buckets, what the buckets should then hold, and the
//! comparison.
mod act;
mod check;
mod foreign;
mod op;
mod sync;
mod world;

pub(crate) use op::{Act, Op, acts};
use world::World;

/// Runs all acts in a new world, and compares after every step.
pub(crate) async fn run(atomic: bool, acts: &[Act]) {
    let mut world = World::new(atomic).await;
    for act in acts {
        world.act(act).await;
        world.check().await;
    }
    world.check_nothing_stays().await;
}
