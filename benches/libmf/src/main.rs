//! Trains LIBMF on a file of `customer movie rating` lines and judges it on another.
//!
//! usage: libmf-peer TRAIN TEST FACTORS EPOCHS LAMBDA RATE THREADS
//!
//! Prints seconds of training, reading apart, and the RMSE of predictions cut to 1 to 5.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::time::Instant;

fn each(path: &str, mut rating: impl FnMut(i32, i32, f32)) -> Result<(), Box<dyn Error>> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut line = String::new();
    while file.read_line(&mut line)? > 0 {
        let mut numbers = line.split_ascii_whitespace();
        let mut next = || numbers.next().ok_or("a line needs three numbers");
        rating(next()?.parse()?, next()?.parse()?, next()?.parse()?);
        line.clear();
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = std::env::args().skip(1).collect::<Vec<_>>();
    let [train, test, factors, epochs, lambda, rate, threads] = &args[..] else {
        return Err("usage: libmf-peer TRAIN TEST FACTORS EPOCHS LAMBDA RATE THREADS".into());
    };
    let mut matrix = libmf::Matrix::new();
    each(train, |customer, movie, rating| matrix.push(customer, movie, rating))?;
    let lambda = lambda.parse::<f32>()?;
    let started = Instant::now();
    let model = libmf::Model::params()
        .factors(factors.parse()?)
        .iterations(epochs.parse()?)
        .threads(threads.parse()?)
        .lambda_p2(lambda)
        .lambda_q2(lambda)
        .learning_rate(rate.parse()?)
        .quiet(true)
        .fit(&matrix)?;
    let seconds = started.elapsed().as_secs_f64();
    let (mut squares, mut count) = (0.0, 0.0);
    each(test, |customer, movie, rating| {
        let error = model.predict(customer, movie).clamp(1.0, 5.0) - rating;
        squares += f64::from(error) * f64::from(error);
        count += 1.0;
    })?;
    println!("{seconds:.2} {:.4}", f64::sqrt(squares / count));
    Ok(())
}
