//! Convolutions that run one after the other in one pass, where the device can.

use burn::tensor::Tensor;
use plantain_kernels::{self as kernels, Activation, ChainLink, HostChain};

use super::Conv2d;

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
}

/// All links in one pass, if the device can do that and the picture is large enough for it to take less time.
///
/// # Shapes
/// - `x`: `[batch, in_channels, height, width]`
/// - `residual`, added before the activation of the last, which then adds nothing else, and result: `[batch, out_channels, out_height,
///   out_width]`
pub fn forward_at_once(
    links: &[Link<'_>],
    x: &Tensor<4>,
    residual: Option<&Tensor<4>>,
) -> Option<Tensor<4>> {
    let packed = links.iter().map(Link::packed);
    let chain = HostChain::new(&packed.collect::<Option<Vec<_>>>()?)?;
    let suits = chain.suits(x.dims());
    suits.then(|| kernels::packed_chain(x.clone(), chain, residual.cloned()))
}
