use super::{gradients, values};
use kiln_tensor::Result;

#[test]
fn roll() -> Result<()> {
    let x = values([3, 4], 1);
    let numbers = x.to_vec::<f64>()?;
    for shift in [-9isize, -1, 0, 1, 3, 4, 7] {
        let rolled = x.roll(shift, 1)?.to_vec::<f64>()?;
        for row in 0..3 {
            for column in 0..4isize {
                let from = (column - shift).rem_euclid(4) as usize;
                assert_eq!(rolled[row * 4 + column as usize], numbers[row * 4 + from], "shift {shift}");
            }
        }
        gradients("roll", |v| v[0].roll(shift, -1), std::slice::from_ref(&x));
    }
    assert_eq!(values([0, 3], 1).roll(2, 0)?.dims(), [0, 3]);
    assert!(x.roll(1, 2).unwrap_err().to_string().contains("axis 2"));
    Ok(())
}
