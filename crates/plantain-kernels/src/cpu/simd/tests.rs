use super::*;

/// Every operation, on every path, against plain Rust.
struct Operations;

impl Kernel for Operations {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let a: [f32; 16] = std::array::from_fn(|i| (i as f32 - 7.5) * 0.73);
        let b: [f32; 16] = std::array::from_fn(|i| (i as f32 * 1.7).sin() + 0.1);
        // SAFETY: the arrays hold sixteen values, no path has more lanes.
        let (va, vb) = unsafe { (l.load(a.as_ptr()), l.load(b.as_ptr())) };
        let check = |name: &str, got: L::F, want: &dyn Fn(usize) -> f32| {
            for (lane, &got) in l.spread(got)[..L::COUNT].iter().enumerate() {
                let want = want(lane);
                assert!(
                    (got - want).abs() <= 3e-7 * want.abs(),
                    "{name}: lane {lane}: {got} instead of {want}"
                );
            }
        };
        check("add", l.add(va, vb), &|i| a[i] + b[i]);
        check("sub", l.sub(va, vb), &|i| a[i] - b[i]);
        check("mul", l.mul(va, vb), &|i| a[i] * b[i]);
        check("mul_add", l.mul_add(va, va, l.splat(2.0)), &|i| {
            a[i] * a[i] + 2.0
        });
        check("max", l.max(va, vb), &|i| a[i].max(b[i]));
        check("min", l.min(va, vb), &|i| a[i].min(b[i]));
        check("abs", l.abs(va), &|i| a[i].abs());
        check("reciprocal", l.reciprocal(va), &|i| 1.0 / a[i]);
        check("fraction", l.fraction(va), &|i| a[i] - a[i].floor());
        check("scale_by_floor", l.scale_by_floor(l.splat(1.5), va), &|i| {
            1.5 * a[i].floor().exp2()
        });
        check(
            "zero",
            l.scale_by_floor(l.splat(1.5), l.splat(f32::NEG_INFINITY)),
            &|_| 0.0,
        );
        check("select_less", l.select_less(va, vb, va, vb), &|i| {
            a[i].min(b[i])
        });
        assert!(l.any_greater(va, vb) == (0..L::COUNT).any(|i| a[i] > b[i]));
        assert!(!l.any_greater(va, va));
        for count in 0..=L::COUNT {
            let mut out = [9.0; 16];
            // SAFETY: `count` values may be read and written.
            unsafe { l.store_first(out.as_mut_ptr(), l.load_first(a.as_ptr(), count), count) };
            for lane in 0..16 {
                assert_eq!(out[lane], if lane < count { a[lane] } else { 9.0 });
            }
        }
    }
}

#[test]
fn operations() {
    for isa in Isa::available() {
        dispatch(isa, Operations);
    }
    Operations.run(portable::Single::<false>);
}
