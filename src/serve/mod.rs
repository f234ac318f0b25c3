//! Answers questions with a trained model: what a customer would like best, what is similar, and why.
//!
//! A model's movies are cached in the backend (`cache`). A customer's factors are read from the model, or folded in from ratings
//! (`customer`, `fold_in`).

mod all_customers;
pub(crate) mod cache;
mod customer;
mod error;
mod explain;
mod filter;
mod fold_in;
mod planner;
mod predict;
mod recommend;
pub(crate) mod recommend_all;
mod recommend_users;
mod refresh;
mod similar;
