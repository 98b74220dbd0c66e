//! Profiles: what is counted, for whom, and what it comes to.

use kiln_tensor::profile::{Phase, Profile, Profiling, Record, Roofline, enter};
use kiln_tensor::{
    AttentionOptions, ConvOptions, DType, Device, MatmulOptions, Recurrence, RecurrentCell, Result, Tensor,
};

fn ones(shape: &[usize]) -> Tensor {
    Tensor::ones(shape, DType::F32, &Device::cpu()).unwrap()
}

fn profile(run: impl FnOnce() -> Result<()>) -> Profile {
    let profiling = Profiling::start().unwrap();
    run().unwrap();
    profiling.stop()
}

/// Each operation with its calls, FLOPs and bytes.
fn counted(profile: &Profile) -> Vec<(&str, u64, u64, u64)> {
    let records = profile.records().iter();
    records.map(|Record { operation, totals: t, .. }| (operation.as_str(), t.calls, t.flops, t.bytes)).collect()
}

#[test]
fn each_call_is_counted_once_with_its_flops_and_bytes() {
    let (x, w, row) = (ones(&[3, 5]), ones(&[5, 7]), ones(&[7]));
    let profile = profile(|| {
        let y = x.matmul(&w)?;
        // The row is broadcast: its 7 elements are read once.
        let y = y.add(&row)?.relu()?;
        y.relu()?;
        y.t()?.contiguous()?;
        y.sum_all().map(drop)
    });
    let expected = [
        ("matmul", 1, 2 * 3 * 5 * 7, 4 * (3 * 5 + 5 * 7 + 3 * 7)),
        ("add", 1, 21, 4 * (21 + 7 + 21)),
        ("relu", 2, 2 * 21, 2 * 4 * (21 + 21)),
        ("copy", 1, 0, 4 * (21 + 21)),
        ("sum", 1, 21, 4 * (21 + 1)),
    ];
    assert_eq!(counted(&profile), expected);
    let total = profile.total();
    assert_eq!((total.calls, total.allocations), (6, 6));
    assert_eq!(total.allocated_bytes, 4 * (5 * 21 + 1));
    assert!(profile.peak_bytes() >= 4 * 3 * 21 && total.nanoseconds as f64 <= 1e9 * profile.seconds());
}

#[test]
fn coarse_operations_count_once_too() {
    let (x, weight) = (ones(&[2, 4, 9, 9]), ones(&[6, 2, 3, 3]));
    let options = ConvOptions::new().stride(2).groups(2);
    let conv = options.resolve(x.shape(), weight.shape()).unwrap();
    let layer = Recurrence::new(RecurrentCell::Lstm, ones(&[12, 3]));
    let gates = ones(&[5, 2, 12]);
    let (query, key, causal) = (ones(&[2, 4, 3, 8]), ones(&[2, 2, 5, 8]), AttentionOptions::new().causal(true));
    let profile = profile(|| {
        let y = x.conv_with(&weight, &conv, MatmulOptions::default())?;
        y.conv_grad_input(&weight, &conv, x.shape())?;
        x.conv_grad_weight(&y, &conv)?;
        y.softmax(-1)?;
        gates.recurrent(&layer.as_ref())?;
        let after = query.attend(&key, &key, None, &causal)?;
        after.grad([&query, &key, &key], None, &causal, &after.out)?;
        Tensor::zeros([8], DType::F32, &Device::cpu()).map(drop)
    });
    // 2 · 6 · 4 · 4 results of sums over 2 · 3 · 3.
    let flops = 2 * (2 * 6 * 16) * 18;
    let of_conv: Vec<_> = profile.records().iter().take(3).map(|r| (r.operation.as_str(), r.totals.flops)).collect();
    assert_eq!(of_conv, [("conv", flops), ("conv_grad_input", flops), ("conv_grad_weight", flops)]);
    let find = |name: &str| profile.records().iter().find(|record| record.operation == name).unwrap().totals;
    assert_eq!(find("recurrent lstm").flops, 2 * 5 * 2 * 12 * 3);
    // The queries see 3, 4 and 5 keys; two products of a width of 8 go forward, five back.
    assert_eq!(find("attention").flops, 2 * (2 * 4 * 12) * (2 * 8));
    assert_eq!(find("attention_grad").flops, 2 * (2 * 4 * 12) * (5 * 8));
    // Of a softmax no FLOPs are counted, and no rate is made of them.
    assert_eq!((find("softmax").flops, find("softmax").gflops()), (0, None));
    // Those of the layer's first states, (2, 3), are two more.
    assert_eq!((find("zeros").calls, find("zeros").bytes), (3, 32 + 2 * 24));
    assert!(profile.records().iter().all(|record| record.operation == "zeros" || record.totals.calls == 1));
}

#[test]
fn without_a_profile_and_on_other_threads_nothing_is_counted() {
    let x = ones(&[4]);
    x.relu().unwrap();
    let seen = profile(|| {
        let _layer = enter(Phase::Forward, "layer");
        std::thread::scope(|scope| scope.spawn(|| x.relu().map(drop)).join().unwrap())
    });
    assert_eq!(seen.total().calls, 0);
    x.relu().unwrap();
    assert_eq!(profile(|| Ok(())).records(), []);
    // One that is dropped is over.
    drop(Profiling::start().unwrap());
    let profiling = Profiling::start().unwrap();
    assert!(Profiling::start().unwrap_err().to_string().contains("stop it before another one"));
    assert_eq!(profiling.stop().records(), []);
}

#[test]
fn operations_belong_to_the_innermost_part() {
    let x = ones(&[4]);
    let seen = profile(|| {
        let outer = enter(Phase::Forward, "outer");
        x.relu()?;
        {
            let _inner = enter(Phase::Forward, "inner");
            x.exp()?;
        }
        x.relu()?;
        drop(outer);
        let _step = enter(Phase::Optimizer, "optimizer");
        // What a step computes is a part of the step.
        let _layer = enter(Phase::Forward, "inner");
        x.exp().map(drop)
    });
    let layers = seen.layers();
    let calls: Vec<_> = layers.iter().map(|row| (row.name.as_str(), row.total.calls)).collect();
    assert_eq!(calls, [("outer", 2), ("inner", 2)]);
    assert!(layers[1].seconds_in(Phase::Forward) > 0.0 && layers[1].seconds_in(Phase::Optimizer) > 0.0);
    let operations = seen.operations();
    assert_eq!(operations.iter().map(|row| row.total.calls).sum::<u64>(), 4);
    assert!(operations[0].total.nanoseconds >= operations[1].total.nanoseconds);
}

#[test]
fn a_trace_is_bounded_and_the_tables_are_not() {
    let x = ones(&[4]);
    let profiling = Profiling::start_with(3).unwrap();
    {
        let _part = enter(Phase::Forward, "a \"part\"\n");
        (0..10).for_each(|_| drop(x.relu().unwrap()));
    }
    let seen = profiling.stop();
    assert_eq!((seen.events(), seen.events_left_out(), seen.total().calls), (3, 8, 10));
    let trace = seen.chrome_trace();
    assert_eq!(trace.matches("\"ph\":\"X\"").count(), 3);
    assert!(trace.contains(r#""name":"a \"part\"\u000a""#) && trace.contains(r#""events_left_out":8"#), "{trace}");
}

#[test]
fn a_part_that_outlives_its_profile_ends_with_it() {
    let x = ones(&[4]);
    let profiling = Profiling::start().unwrap();
    let part = enter(Phase::Forward, "part");
    x.relu().unwrap();
    let first = profiling.stop();
    let second = profile(|| {
        drop(part);
        x.relu().map(drop)
    });
    assert_eq!((first.records()[0].layer.as_str(), second.records()[0].layer.as_str()), ("part", ""));
    let trace = first.chrome_trace();
    let time = trace.split("\"dur\":").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    // From its beginning to the end of the profile, so longer than the operation in it.
    assert!(time.parse::<f64>().unwrap() * 1e3 >= first.total().nanoseconds as f64, "{trace}");
}

#[test]
fn the_roofline_is_the_slower_of_both_lines() {
    let x = ones(&[64, 64]);
    let seen = profile(|| x.matmul(&x).map(drop));
    let row = &seen.operations()[0];
    let (flops, bytes, time) = (2.0 * 64f64.powi(3), 3.0 * 4.0 * 4096.0, row.total.nanoseconds as f64);
    let share = |gflops, gigabytes_per_second| row.share_of_roofline(&Roofline { gflops, gigabytes_per_second });
    assert_eq!(share(2.0, 1e9), Some(flops / 2.0 / time));
    assert_eq!(share(1e9, 4.0), Some(bytes / 4.0 / time));
    // The peak says nothing about products in other types.
    let half = x.to_dtype(DType::BF16).unwrap();
    let in_half = profile(|| half.matmul(&half)?.relu().map(drop));
    let peak = Roofline { gflops: 1.0, gigabytes_per_second: 1.0 };
    let shares = in_half.operations().into_iter().map(|row| (row.share_of_roofline(&peak).is_some(), row.name));
    let mut shares: Vec<_> = shares.collect();
    shares.sort();
    assert_eq!(shares, [(false, "matmul".to_owned()), (true, "relu".to_owned())]);
    let table = seen.table(Some(&Roofline { gflops: 100.0, gigabytes_per_second: 10.0 }));
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("profile: 1 operation took "), "{table}");
    assert_eq!(lines[1], "this machine: 100.0 GFLOP/s in a large f32 matrix product, 10.0 GB/s in a large copy");
    assert!(lines[3].starts_with("layer") && lines[3].contains("roofline"), "{table}");
    assert!(lines.iter().any(|line| line.starts_with("matmul ")), "{table}");
}

#[test]
fn the_peak_of_this_machine_is_measured() {
    let cpu = Device::cpu_of(1 << 20);
    let Roofline { gflops, gigabytes_per_second } = Roofline::measure(&cpu).unwrap();
    // What it takes is not counted for the device.
    assert_eq!((cpu.memory().peak, cpu.memory().cached), (0, 0));
    assert!(gflops.is_finite() && gflops > 0.0 && gigabytes_per_second.is_finite() && gigabytes_per_second > 0.0);
}

#[test]
fn tables_show_each_phase_that_took_time() {
    let x = ones(&[64]);
    let seen = profile(|| {
        {
            let _layer = enter(Phase::Forward, "layer");
            x.relu()?;
        }
        {
            let _step = enter(Phase::Optimizer, "optimizer");
            x.exp()?;
        }
        x.sqrt().map(drop)
    });
    let table = seen.table(None);
    let row = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {table}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let phases = ["forward", "optimizer", "other"];
    assert_eq!(row("operation")[4..7], phases);
    // Each operation took time in one of them.
    for (name, phase) in [("relu", 0), ("exp", 1), ("sqrt", 2)] {
        let shown: Vec<bool> = row(name)[3..6].iter().map(|time| time != "-").collect();
        assert_eq!(shown, [0, 1, 2].map(|place| place == phase), "{table}");
    }
}
