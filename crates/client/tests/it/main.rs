//! The client through its public face, against a gateway and a network that misbehave on order.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod stream;
