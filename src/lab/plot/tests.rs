use proptest::prelude::*;

use super::*;

fn plot() -> Plot {
    let curve = |name: &str, factor: f64, dashed| Curve {
        name: name.into(),
        color: COLORS[0],
        dashed,
        dotted: !dashed,
        points: (0..10)
            .map(|power| 2_f64.powi(power))
            .filter_map(|x| Spread::of(x, &[factor * x, factor * x * 1.5, factor * x * 2.0]))
            .collect(),
    };
    Plot {
        name: "example".into(),
        title: "Heard & believed".into(),
        note: "3 seeds".into(),
        x: Axis::new("nodes", Scale::Doublings),
        y: Axis::new("infohashes", Scale::Decades),
        curves: vec![curve("all", 100.0, false), curve("true", 99.0, true)],
    }
}

#[test]
fn an_svg_names_curves_and_axes() {
    let svg = plot().to_svg();
    for words in ["Heard &amp; believed", ">all<", ">true<", ">512<", ">10,000<", "stroke-dasharray", "<polygon"] {
        assert!(svg.contains(words), "{words}: {svg}");
    }
    assert!(!svg.contains("NaN") && !svg.contains(",inf"));
}

#[test]
fn a_plot_without_points_is_drawn() {
    let empty = Plot { curves: vec![Curve::default()], ..plot() };
    assert!(empty.to_svg().contains("</svg>"));
}

#[cfg(feature = "simulations")]
#[test]
fn a_png_shows_the_same() {
    let mut plot = plot();
    plot.curves.truncate(1);
    let file = plot.to_png().unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.height), (1600, 960));
    let count = |wanted: Color| pixels.as_chunks::<3>().0.iter().filter(|pixel| **pixel == wanted).count();
    assert_eq!(pixels[..3], [255; 3]);
    // The inside of a curve, and the words of the axis, are of their pure colours; the band between is paler.
    assert!(count(COLORS[0]) > 1000 && count(PALE_INK) > 500);
    let [red, green, blue] = COLORS[0].map(|wanted| 255.0 - (255.0 - f32::from(wanted)) * BAND_OPACITY);
    assert!(count([red.round() as u8, green.round() as u8, blue.round() as u8]) > 10_000);
}

#[test]
fn colours_of_an_order_differ() {
    let colors: Vec<_> = (0..10).map(|at| ordered(at, 10)).collect();
    assert!(colors.windows(2).all(|pair| pair[0] != pair[1]));
    assert_eq!(ordered(0, 1), ordered(0, 10));
}

proptest! {
    #[test]
    fn names_are_apart_and_in_order(mut wanted in prop::collection::vec(80.0_f32..420.0, 0..12)) {
        wanted.sort_by(f32::total_cmp);
        let places = apart(&wanted);
        prop_assert_eq!(places.len(), wanted.len());
        prop_assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= NAMES_APART - 0.01), "{:?}", places);
    }
}
