//! The colours of objects: bright in the source style, mixed with muted ones in the target style.
//!
//! Colour is one part of the domain gap (light is the other, in `weather`): the sky turns grey, walls, road and pavement
//! become similar, cars and coats fade. Leaves stay greener than anything else and no two classes change places, since
//! aligning two domains can't undo a gap that turns one class's colours into another's. (Tried: with road and pavement
//! exchanged, brown leaves, or twice as muted, adversarial adaptation makes the network worse on some seeds.)

use super::canvas::Colour;

/// The colours of an object: in the source style, and muted.
type Tints = [(Colour, Colour); 4];

const SKY: Tints = [
    ([96.0, 164.0, 240.0], [198.0, 192.0, 184.0]),
    ([110.0, 178.0, 246.0], [208.0, 204.0, 198.0]),
    ([84.0, 150.0, 232.0], [184.0, 180.0, 174.0]),
    ([120.0, 184.0, 240.0], [202.0, 196.0, 188.0]),
];
const BUILDING: Tints = [
    ([186.0, 92.0, 66.0], [112.0, 108.0, 106.0]),
    ([222.0, 196.0, 142.0], [138.0, 134.0, 128.0]),
    ([168.0, 118.0, 82.0], [98.0, 96.0, 96.0]),
    ([206.0, 150.0, 108.0], [124.0, 118.0, 116.0]),
];
const ROAD: Tints = [
    ([92.0, 96.0, 112.0], [126.0, 120.0, 112.0]),
    ([84.0, 90.0, 108.0], [114.0, 109.0, 103.0]),
    ([100.0, 104.0, 118.0], [136.0, 129.0, 120.0]),
    ([88.0, 92.0, 106.0], [120.0, 115.0, 108.0]),
];
const PAVEMENT: Tints = [
    ([190.0, 180.0, 172.0], [150.0, 144.0, 138.0]),
    ([202.0, 188.0, 176.0], [162.0, 154.0, 146.0]),
    ([178.0, 172.0, 168.0], [140.0, 136.0, 132.0]),
    ([196.0, 184.0, 168.0], [155.0, 148.0, 140.0]),
];
const CROWN: Tints = [
    ([46.0, 146.0, 52.0], [76.0, 88.0, 58.0]),
    ([66.0, 164.0, 58.0], [90.0, 98.0, 66.0]),
    ([38.0, 124.0, 50.0], [66.0, 78.0, 54.0]),
    ([84.0, 156.0, 48.0], [98.0, 98.0, 62.0]),
];
const CAR: Tints = [
    ([224.0, 36.0, 40.0], [120.0, 50.0, 50.0]),
    ([36.0, 72.0, 216.0], [54.0, 66.0, 98.0]),
    ([246.0, 206.0, 44.0], [150.0, 150.0, 150.0]),
    ([240.0, 240.0, 244.0], [42.0, 44.0, 50.0]),
];
const COAT: Tints = [
    ([236.0, 60.0, 150.0], [104.0, 64.0, 80.0]),
    ([250.0, 136.0, 30.0], [126.0, 92.0, 62.0]),
    ([150.0, 52.0, 200.0], [78.0, 62.0, 92.0]),
    ([40.0, 200.0, 190.0], [70.0, 98.0, 100.0]),
];

/// The colours of one scene.
pub struct Palette {
    /// The share of the muted colour: 0 in the source style.
    muted: f32,
}

impl Palette {
    /// The source style's palette, or the target style's at a severity.
    pub fn new(severity: Option<f32>) -> Self {
        Self { muted: severity.map_or(0.0, |severity| 0.35 * (0.3 + 0.7 * severity)) }
    }

    fn mix(&self, (game, muted): (Colour, Colour)) -> Colour {
        blend(game, muted, self.muted)
    }

    /// Sky at the top of the picture, in one of four tints (`tint` counts modulo 4, here and below).
    pub fn sky(&self, tint: usize) -> Colour {
        self.mix(SKY[tint % 4])
    }

    /// A building's wall.
    pub fn wall(&self, tint: usize) -> Colour {
        self.mix(BUILDING[tint % 4])
    }

    /// A building's windows.
    pub fn window(&self) -> Colour {
        self.mix(([70.0, 92.0, 130.0], [74.0, 78.0, 84.0]))
    }

    /// The road between its markings.
    pub fn road(&self, tint: usize) -> Colour {
        self.mix(ROAD[tint % 4])
    }

    /// A lane marking.
    pub fn marking(&self) -> Colour {
        self.mix(([244.0, 244.0, 236.0], [160.0, 160.0, 154.0]))
    }

    /// The ground beside the road.
    pub fn pavement(&self, tint: usize) -> Colour {
        self.mix(PAVEMENT[tint % 4])
    }

    /// A tree's leaves.
    pub fn crown(&self, tint: usize) -> Colour {
        self.mix(CROWN[tint % 4])
    }

    /// A tree's trunk.
    pub fn trunk(&self) -> Colour {
        self.mix(([112.0, 74.0, 40.0], [72.0, 62.0, 52.0]))
    }

    /// A car's body.
    pub fn car(&self, tint: usize) -> Colour {
        self.mix(CAR[tint % 4])
    }

    /// A car's windows.
    pub fn glass(&self) -> Colour {
        self.mix(([28.0, 36.0, 52.0], [40.0, 44.0, 48.0]))
    }

    /// Wheels and the shadow between them.
    pub fn tyre(&self) -> Colour {
        self.mix(([18.0, 18.0, 22.0], [30.0, 30.0, 30.0]))
    }

    /// A pole.
    pub fn pole(&self) -> Colour {
        self.mix(([52.0, 56.0, 62.0], [62.0, 62.0, 62.0]))
    }

    /// A lamp that is lit.
    pub fn lamp(&self) -> Colour {
        self.mix(([255.0, 236.0, 150.0], [206.0, 196.0, 160.0]))
    }

    /// A person's upper half.
    pub fn coat(&self, tint: usize) -> Colour {
        self.mix(COAT[tint % 4])
    }

    /// A person's legs.
    pub fn trousers(&self) -> Colour {
        self.mix(([40.0, 44.0, 92.0], [48.0, 48.0, 56.0]))
    }

    /// A person's head.
    pub fn skin(&self) -> Colour {
        self.mix(([240.0, 190.0, 154.0], [164.0, 136.0, 118.0]))
    }
}

/// `share` of the second colour, the rest of the first.
pub fn blend(first: Colour, second: Colour, share: f32) -> Colour {
    std::array::from_fn(|channel| first[channel] + share * (second[channel] - first[channel]))
}
