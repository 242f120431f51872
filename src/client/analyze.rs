//! `analyze` and `similar`: what a put would do, by real sketches and real deltas.

use super::DeltaGlider;
use super::body::Body;
use super::error::Error;
use super::location::Location;
use super::progress::{Meter, Progress};
use super::put::held;
use crate::service::{Analysis, Candidate};

const ANALYZE: &str = "analyze";

impl DeltaGlider {
    /// Encodes a file as a put to `to` would, and stores nothing of it. A stream is spooled first.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// # let first: Vec<u8> = (0..20_000_u64).map(|at| (at * at * 977 >> 7) as u8).collect();
    /// # let second = [&first[..], b"changed"].concat();
    /// dg.put("s3://releases/app-1.0.zip", first).await?;
    /// let analysis = dg.analyze(second, "s3://releases/app-1.1.zip").await?;
    /// assert!(analysis.delta.unwrap() < 1000);
    /// # Ok(()) }
    /// ```
    pub fn analyze(&self, body: impl Into<Body>, to: impl Into<Location>) -> Analyze {
        Analyze { client: self.clone(), body: body.into(), to: to.into(), meter: Meter::default() }
    }

    /// Returns the references that a file of the name `to` could become a delta against, the most
    /// similar one first, by sketches of their content.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// # let file: Vec<u8> = (0..20_000_u64).map(|at| (at * at * 977 >> 7) as u8).collect();
    /// dg.put("s3://releases/app-1.0.zip", file.clone()).await?;
    /// let similar = dg.similar(file, "s3://releases/app-1.1.zip").await?;
    /// assert_eq!((similar.len(), similar[0].share), (1, Some(1.0)));
    /// # Ok(()) }
    /// ```
    pub fn similar(&self, body: impl Into<Body>, to: impl Into<Location>) -> Similar {
        Similar(self.analyze(body, to))
    }
}

/// An analysis with its options; see [`DeltaGlider::analyze`].
#[derive(Debug)]
#[must_use = "nothing is analyzed before the call is awaited"]
pub struct Analyze {
    client: DeltaGlider,
    body: Body,
    to: Location,
    meter: Meter,
}

/// A comparison with references; see [`DeltaGlider::similar`].
#[derive(Debug)]
#[must_use = "nothing is compared before the call is awaited"]
pub struct Similar(Analyze);

verb!(Analyze => Analysis);
verb!(Similar => Vec<Candidate>);

impl Analyze {
    /// Calls `listener` whenever bytes were read or received.
    pub fn progress(mut self, listener: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.meter = Meter::new(listener);
        self
    }

    async fn run(self) -> Result<Analysis, Error> {
        let Self { client, body, to, meter } = self;
        let object = to.object(ANALYZE)?;
        let failed = || Error::of(ANALYZE, &object);
        let file = held(&client, &object, body.0, &meter).await.map_err(failed())?;
        client.observed(&meter).analyze(&file, &object).await.map_err(failed())
    }
}

impl Similar {
    async fn run(self) -> Result<Vec<Candidate>, Error> {
        let Analyze { client, body, to, meter } = self.0;
        let object = to.object(ANALYZE)?;
        let failed = || Error::of(ANALYZE, &object);
        let file = held(&client, &object, body.0, &meter).await.map_err(failed())?;
        client.observed(&meter).similar(&file, &object).await.map_err(failed())
    }
}
