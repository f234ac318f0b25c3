//! Factors and biases as the least-squares kernel reads them.

use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::error::Error;
use crate::memory::Aligned;
use crate::model::Side;
use crate::rows::Turns;

/// One side's factors and biases as the kernel reads them: rows of `[factors, 1, zeros, bias]`, each a few whole cache
/// lines. All but the bias, which takes the last two places, are rounded to bfloat16: half the memory to be fetched, for
/// which most of the time would be spent, and an RMSE that differs by some 0.00002.
pub(crate) struct PackedSide {
    pub factors: usize,
    pub stride: usize,
    pub data: Aligned<u16>,
}

impl PackedSide {
    /// Room for as many rows.
    pub fn zeros(rows: usize, factors: usize) -> Result<PackedSide, Error> {
        let stride = PackedSide::stride(factors);
        Ok(PackedSide { factors, stride, data: Aligned::zeros(rows * stride)? })
    }

    /// Numbers a row takes.
    pub fn stride(factors: usize) -> usize {
        (factors + 4).next_multiple_of(Aligned::<u16>::LINE)
    }

    /// Bytes that as many rows take.
    pub fn memory(rows: usize, factors: usize) -> usize {
        rows * PackedSide::stride(factors) * size_of::<u16>()
    }

    /// Takes over a side's factors and biases, of which there are as many. The side's factors become what they are
    /// rounded to, so that what is solved with them holds for it.
    pub fn take(&mut self, side: &mut Side, cancelled: &AtomicBool) -> Result<(), Error> {
        let PackedSide { factors, stride, .. } = *self;
        let turns = Turns::of_length(stride);
        let rows = turns.of_slice_mut(&mut self.data, stride);
        let sides = turns.of_mut(&mut side.factors).zip(turns.of(&side.biases));
        turns.visit(rows.zip(sides), cancelled, |_, (rows, (mut vectors, biases))| {
            for ((row, vector), bias) in rows.chunks_exact_mut(stride).zip(vectors.rows_mut()).zip(biases) {
                for (half, factor) in row.iter_mut().zip(vector) {
                    *half = bf16(*factor);
                    *factor = f32::from_bits(u32::from(*half) << 16);
                }
                row[factors] = bf16(1.0);
                let bits = bias.to_bits();
                (row[stride - 2], row[stride - 1]) = (bits as u16, (bits >> 16) as u16);
            }
            Ok(())
        })
    }

    /// A row: its factors, 1, zeros, and the bias in the last two places.
    pub fn row(&self, row: usize) -> &[u16] {
        &self.data[row * self.stride..][..self.stride]
    }

    /// The bias in a row.
    pub fn bias(&self, row: &[u16]) -> f32 {
        f32::from_bits(u32::from(row[self.stride - 2]) | u32::from(row[self.stride - 1]) << 16)
    }
}

/// The nearest number in bfloat16, of two as near the even one. Of a number that is none, any.
#[inline(always)]
pub(crate) fn bf16(number: f32) -> u16 {
    let bits = number.to_bits();
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_bfloat16_is_taken() {
        let there_and_back = |number: f32| f32::from_bits(u32::from(bf16(number)) << 16);
        for exact in [0.0, 1.0, -1.0, 0.3, 3.1, 1e-30, -7e20] {
            let error = (there_and_back(exact) - exact).abs();
            assert!(error <= exact.abs() / 256.0, "{exact}");
        }
        assert_eq!(there_and_back(3.140625), 3.140625);
        assert_eq!(there_and_back(1.0 + 1.0 / 256.0), 1.0);
        assert_eq!(there_and_back(1.0 + 3.0 / 256.0), 1.0 + 4.0 / 256.0);
        assert_eq!(there_and_back(-1.0 - 1.1 / 256.0), -1.0 - 2.0 / 256.0);
    }
}
