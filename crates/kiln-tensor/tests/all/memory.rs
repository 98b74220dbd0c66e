//! Shared memory is never changed under another tensor; memory is reused and counted.

use kiln_cpu::Isa;
use kiln_math::update::{CONSTANTS, Rule, Sgd, Step};
use kiln_tensor::{DType, Device, Error, Layout, Result, Shape, Tensor, UpdateRule, UpdateTensors};

/// A device of the test's own, whose counts nobody else changes.
fn device() -> Device {
    Device::cpu_with(Isa::best())
}

fn ramp(device: &Device) -> Tensor {
    let values: Vec<f32> = (0..12u8).map(f32::from).collect();
    Tensor::from_slice(&values, [3, 4], device).unwrap()
}

/// What a tensor may be when it is written to: whole, or a view of larger memory.
type Shared = fn(&Tensor) -> Tensor;

const VIEWS: [(&str, Shared); 6] = [
    ("clone", |x| x.clone()),
    ("slice", |x| x.slice(0, 1..3).unwrap()),
    ("transpose", |x| x.t().unwrap()),
    ("flip", |x| x.flip(1).unwrap()),
    ("row", |x| x.index(0, 2).unwrap()),
    ("repeated", |x| x.slice(0, 0..1).unwrap().broadcast_to([5, 4]).unwrap()),
];

type Write = fn(&mut Tensor) -> Result<()>;

fn one_like(x: &Tensor) -> Tensor {
    Tensor::ones(x.shape(), x.dtype(), x.device()).unwrap()
}

/// The constants of SGD at a second step, for f32.
fn step(learning_rate: f64, momentum: f64, device: &Device) -> Tensor {
    let step = Step { learning_rate, weight_decay: 0.0, number: 2.0, smallest: f32::MIN_POSITIVE.into() };
    let constants = Sgd { momentum, dampening: 0.0, nesterov: false }.constants(&step).map(|c| c as f32);
    Tensor::from_slice(&constants, [1, CONSTANTS], device).unwrap()
}

/// Ways to write, each of which makes the first element of a ramp's view something else.
const WRITES: [(&str, Write); 9] = [
    ("add_assign", |x| x.add_assign(&one_like(x))),
    ("mul_scalar_assign", |x| x.mul_scalar_assign(-3.5)),
    ("fill", |x| x.fill(99.0)),
    ("copy_from", |x| x.copy_from(&one_like(x).mul_scalar(77.0)?)),
    ("slice_assign", |x| x.slice_assign(0, 0..1, &Tensor::full((), 50.0, x.dtype(), x.device())?)),
    ("upload", |x| x.upload(&vec![-1.0f32; x.elements()])),
    ("index_add_assign", |x| {
        let mut dims = x.dims().to_vec();
        dims[0] = 2;
        let index = Tensor::from_slice(&[0i64, 0], [2], x.device())?;
        x.index_add_assign(0, &index, &Tensor::ones(dims, x.dtype(), x.device())?)
    }),
    ("update of a parameter", |x| {
        let (step, gradient) = (step(0.5, 0.0, x.device()), one_like(x));
        let slot = UpdateTensors { parameter: x, gradient: &gradient, states: [None, None, None], row: 0 };
        Tensor::update(UpdateRule::Sgd, &step, None, &mut [slot])
    }),
    ("update of a state", |x| {
        let (step, gradient) = (step(0.5, 0.5, x.device()), one_like(x));
        let mut other = one_like(x);
        let slot = UpdateTensors { parameter: &mut other, gradient: &gradient, states: [Some(x), None, None], row: 0 };
        Tensor::update(UpdateRule::Sgd, &step, None, &mut [slot])
    }),
];

#[test]
fn writing_never_changes_another_tensor() {
    let device = device();
    for (view, of) in VIEWS {
        for (name, write) in WRITES {
            // The owner stays while the view is written.
            let x = ramp(&device);
            let before = x.to_vec::<f32>().unwrap();
            let mut y = of(&x);
            let seen = y.to_vec::<f32>().unwrap();
            write(&mut y).unwrap();
            assert_eq!(x.to_vec::<f32>().unwrap(), before, "{name} of a {view}");
            let shared = y.to_vec::<f32>().unwrap();
            assert_ne!(shared, seen, "{name} of a {view} does nothing");
            // The view stays while the owner is written.
            let mut x = ramp(&device);
            let y = of(&x);
            write(&mut x).unwrap();
            assert_eq!(y.to_vec::<f32>().unwrap(), seen, "{name} under a {view}");
            // With the owner gone, the view alone shows the same.
            let mut y = {
                let x = ramp(&device);
                of(&x)
            };
            write(&mut y).unwrap();
            assert_eq!(y.to_vec::<f32>().unwrap(), shared, "{name} of a lone {view}");
        }
    }
}

#[test]
fn the_only_owner_is_written_in_place() {
    let device = device();
    for (name, write) in WRITES {
        let mut x = ramp(&device);
        let memory = x.storage_id();
        write(&mut x).unwrap();
        assert_eq!(x.storage_id(), memory, "{name}");
    }
    // A consumed operand gives its memory to the result; a shared one keeps it.
    let x = ramp(&device);
    let memory = x.storage_id();
    let y = x.into_unary(kiln_math::UnaryOp::Square.into()).unwrap();
    assert_eq!(y.storage_id(), memory);
    let kept = y.clone();
    let z = y.into_unary(kiln_math::UnaryOp::Neg.into()).unwrap();
    assert_ne!(z.storage_id(), memory);
    assert_eq!(kept.to_vec::<f32>().unwrap()[3], 9.0);
}

#[test]
fn a_parameter_may_be_its_own_gradient_or_state() {
    let device = device();
    let mut p = ramp(&device);
    let gradient = p.clone();
    let mut velocity = p.clone();
    let states = [Some(&mut velocity), None, None];
    let slot = UpdateTensors { parameter: &mut p, gradient: &gradient, states, row: 0 };
    Tensor::update(UpdateRule::Sgd, &step(1.0, 0.5, &device), None, &mut [slot]).unwrap();
    // v ← v/2 + g = 1.5·x; p ← x − v
    let x = ramp(&device).to_vec::<f32>().unwrap();
    let times = |factor: f32| x.iter().map(|v| v * factor).collect::<Vec<_>>();
    assert_eq!(gradient.to_vec::<f32>().unwrap(), x);
    assert_eq!(velocity.to_vec::<f32>().unwrap(), times(1.5));
    assert_eq!(p.to_vec::<f32>().unwrap(), times(-0.5));
    // Two parameters of one memory part at the first step.
    let (mut a, gradient) = (ramp(&device), one_like(&ramp(&device)));
    let mut b = a.clone();
    let slots = &mut [
        UpdateTensors { parameter: &mut a, gradient: &gradient, states: [None, None, None], row: 0 },
        UpdateTensors { parameter: &mut b, gradient: &gradient, states: [None, None, None], row: 0 },
    ];
    Tensor::update(UpdateRule::Sgd, &step(1.0, 0.0, &device), None, slots).unwrap();
    let less: Vec<f32> = x.iter().map(|v| v - 1.0).collect();
    assert_eq!((a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap()), (less.clone(), less));
}

#[test]
fn a_refused_update_changes_nothing() {
    let device = device();
    let (mut a, mut b) = (ramp(&device), ramp(&device));
    let (good, bad) = (one_like(&a), Tensor::ones([3], DType::F32, &device).unwrap());
    let slots = &mut [
        UpdateTensors { parameter: &mut a, gradient: &good, states: [None, None, None], row: 0 },
        UpdateTensors { parameter: &mut b, gradient: &bad, states: [None, None, None], row: 0 },
    ];
    assert!(Tensor::update(UpdateRule::Sgd, &step(1.0, 0.0, &device), None, slots).is_err());
    assert_eq!(a.to_vec::<f32>().unwrap(), ramp(&device).to_vec::<f32>().unwrap());
}

#[test]
#[cfg_attr(kiln_exact_alloc, ignore = "nothing is kept")]
fn memory_is_counted_and_reused() {
    let device = device();
    assert_eq!(device.memory(), Default::default());
    let x = Tensor::zeros([1000], DType::F32, &device).unwrap();
    let one = device.memory().live;
    assert!((4000..=5120).contains(&one), "{one}");
    let view = x.slice(0, 10..20).unwrap();
    assert_eq!(device.memory().live, one, "views take no memory");
    let y = x.neg().unwrap();
    let address = y.as_slice::<f32>().unwrap().as_ptr();
    assert_eq!(device.memory().live, 2 * one);
    drop(y);
    let stats = device.memory();
    assert_eq!((stats.live, stats.peak, stats.cached), (one, 2 * one, one));
    // The next of its size gets the very memory.
    let z = x.exp().unwrap();
    assert_eq!(z.as_slice::<f32>().unwrap().as_ptr(), address);
    assert_eq!(device.memory().cached, 0);
    drop(x);
    assert_eq!(device.memory().live, 2 * one, "a view keeps its memory");
    drop(view);
    drop(z);
    let stats = device.memory();
    assert_eq!((stats.live, stats.peak, stats.cached), (0, 2 * one, 2 * one));
    // Zeros are zeros, also in memory that held something else.
    let _full = Tensor::full([1000], 3.0, DType::F32, &device).unwrap();
    drop(_full);
    assert_eq!(Tensor::zeros([1000], DType::F32, &device).unwrap().to_vec::<f32>().unwrap(), [0.0; 1000]);
    device.backend().trim();
    assert_eq!(device.memory().cached, 0);
}

#[test]
fn a_device_of_so_much_memory_hands_out_no_more() {
    let device = Device::cpu_of(1 << 16);
    let x = Tensor::ones([8000], DType::F32, &device).unwrap();
    let error = x.add(&x).and_then(|y| y.add(&x)?.add(&y)).unwrap_err();
    assert_eq!(error.kind(), kiln_tensor::ErrorKind::Memory, "{error}");
    drop(x);
    assert!(Tensor::ones([15_000], DType::F32, &device).is_ok());
    assert!(device.memory().peak <= 1 << 16);
}

#[test]
fn a_thousand_steps_take_the_memory_of_one() {
    let device = device();
    let x = ramp(&device);
    let step = |x: &Tensor| -> Tensor {
        let y = x.matmul(&x.t().unwrap()).unwrap().softmax(1).unwrap();
        y.matmul(x).unwrap().add(x).unwrap()
    };
    step(&x);
    let peak = device.memory().peak;
    let before = device.memory();
    for _ in 0..1000 {
        step(&x);
    }
    assert_eq!(device.memory().peak, peak);
    assert_eq!(device.memory(), before);
}

#[test]
fn tensors_go_between_threads() {
    fn sent<T: Send + Sync + 'static>() {}
    sent::<Tensor>();
    sent::<Device>();
    sent::<Layout>();
    sent::<Shape>();
    sent::<Error>();
    let device = device();
    let x = ramp(&device);
    let sums: Vec<f64> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..4)
            .map(|i| {
                let x = x.clone();
                scope.spawn(move || {
                    let mut own = x;
                    own.add_assign(&Tensor::full((), f64::from(i), DType::F32, own.device()).unwrap()).unwrap();
                    own.sum_all().unwrap().item().unwrap()
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    assert_eq!(sums, [66.0, 78.0, 90.0, 102.0]);
    assert_eq!(x.sum_all().unwrap().item().unwrap(), 66.0);
}
