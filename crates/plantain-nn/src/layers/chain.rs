//! Convolutions that run one after the other, in one pass where the device can.

use burn::tensor::Tensor;
use plantain_kernels::{self as kernels, Activation, ChainLink, HostChain};

use super::{After, Before, Conv2d};

/// A convolution of stride 1 in a chain.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    conv: &'a Conv2d,
    doubled: bool,
    activation: Activation,
    adds: Option<usize>,
}

impl<'a> Link<'a> {
    /// With an activation after it.
    pub fn new(conv: &'a Conv2d, activation: Activation) -> Self {
        Self {
            conv,
            doubled: false,
            activation,
            adds: None,
        }
    }

    /// Of the picture at twice its size, by nearest neighbours; only the first may be.
    pub fn doubled(conv: &'a Conv2d) -> Self {
        Self {
            doubled: true,
            ..Self::new(conv, Activation::None)
        }
    }

    /// The same, to which the input of another link, counted from 0, is added before the activation.
    pub fn adding(self, link: usize) -> Self {
        Self {
            adds: Some(link),
            ..self
        }
    }

    fn packed(&self) -> Option<ChainLink<'a>> {
        let layer = if self.doubled {
            &self.conv.doubled
        } else {
            &self.conv.packed
        };
        Some(ChainLink {
            layer: layer.as_ref()?,
            activation: self.activation,
            adds: self.adds,
        })
    }

    fn forward(&self, x: Tensor<4>, residual: Option<Tensor<4>>) -> Tensor<4> {
        let after = After {
            residual,
            ..After::activation(self.activation)
        };
        if self.doubled {
            self.conv.forward_doubled_with(x, after)
        } else {
            self.conv.forward_with(x, Before::Nothing, after)
        }
    }
}

/// All links one after the other; `residual` is added before the activation of the last.
///
/// # Shapes
/// - `x`: `[batch, in_channels, height, width]`
/// - `residual`, result: `[batch, out_channels, out_height, out_width]`
pub fn forward_chain(links: &[Link<'_>], x: Tensor<4>, residual: Option<Tensor<4>>) -> Tensor<4> {
    let packed = links.iter().map(Link::packed).collect::<Option<Vec<_>>>();
    if let Some(chain) = packed.and_then(|links| HostChain::new(&links)) {
        return kernels::packed_chain(x, chain, residual);
    }
    // Inputs that are added later.
    let mut kept = vec![None; links.len()];
    let mut residual = residual;
    links.iter().enumerate().fold(x, |x, (index, link)| {
        if links.iter().any(|later| later.adds == Some(index)) {
            kept[index] = Some(x.clone());
        }
        let added = match link.adds {
            Some(from) => kept[from].take(),
            None => residual.take_if(|_| index + 1 == links.len()),
        };
        link.forward(x, added)
    })
}
