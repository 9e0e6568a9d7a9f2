//! A driver's pace: a little faster or slower than the reference car, changing slowly, so that
//! cars meet and overtake.

use rand::Rng as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// How much drivers differ for a whole race.
const TALENT: f64 = 0.012;
/// How much their form differs from one stretch to the next.
const FORM: f64 = 0.035;
/// How fast form changes, per second.
const FORM_CHANGE: f64 = 0.006;
/// How much a second behind the mean of the field makes faster, and the limit of it: the field
/// stays together for as long as the race lasts.
const SLIPSTREAM: f64 = 0.003;
const MAX_SLIPSTREAM: f64 = 0.03;

/// A car and who drives it.
#[derive(Debug, Clone)]
pub(super) struct Driver {
    random: ChaCha8Rng,
    talent: f64,
    form: f64,
    next_form: f64,
    stretch_seconds: f64,
    /// Reference time that the car has driven, in seconds.
    pub(super) driven: f64,
}

impl Driver {
    pub(super) fn new(seed: u64, race: u32, car: u32) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(u64::from(race) << 32 | u64::from(car));
        let talent = random.random_range(-TALENT..TALENT);
        Self { random, talent, form: 0.0, next_form: 0.0, stretch_seconds: 0.0, driven: 0.0 }
    }

    /// Drives on for so many seconds, in a field whose mean is at this reference time.
    pub(super) fn drive(&mut self, seconds: f64, field: f64) {
        self.stretch_seconds -= seconds;
        if self.stretch_seconds <= 0.0 {
            self.stretch_seconds = self.random.random_range(8.0..25.0);
            self.next_form = self.random.random_range(-FORM..FORM);
        }
        let change = FORM_CHANGE * seconds;
        self.form += (self.next_form - self.form).clamp(-change, change);
        let slipstream =
            (SLIPSTREAM * (field - self.driven)).clamp(-MAX_SLIPSTREAM, MAX_SLIPSTREAM);
        self.driven += seconds * (1.0 + self.talent + self.form + slipstream);
    }
}
