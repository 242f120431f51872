//! The reference model: what is done to two buckets, what should then be in them, and the
//! comparison.
mod act;
mod check;
mod foreign;
mod op;
mod sync;
mod world;

pub(crate) use op::{Act, Op, acts};
use world::World;

/// Does all of it in a new world, and compares after every step.
pub(crate) async fn run(atomic: bool, acts: &[Act]) {
    let mut world = World::new(atomic).await;
    for act in acts {
        world.act(act).await;
        world.check().await;
    }
    world.check_nothing_stays().await;
}
