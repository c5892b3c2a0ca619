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

/// All links in one pass, if the device can do that and the picture is large enough for it to take less time.
///
/// Shapes as [`forward_chain`].
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

/// All links one after the other; `residual` is added before the activation of the last, which then adds nothing else.
///
/// # Shapes
/// - `x`: `[batch, in_channels, height, width]`
/// - `residual`, result: `[batch, out_channels, out_height, out_width]`
pub fn forward_chain(links: &[Link<'_>], x: Tensor<4>, residual: Option<Tensor<4>>) -> Tensor<4> {
    if let Some(y) = forward_at_once(links, &x, residual.as_ref()) {
        return y;
    }
    let mut residual = residual;
    // Inputs that later links add, and how many of those there are.
    let mut kept: Vec<Option<Tensor<4>>> = vec![None; links.len()];
    let mut uses = vec![0; links.len()];
    links
        .iter()
        .filter_map(|link| link.adds)
        .for_each(|from| uses[from] += 1);
    links.iter().enumerate().fold(x, |x, (index, link)| {
        kept[index] = (uses[index] > 0).then(|| x.clone());
        let added = match link.adds {
            Some(from) => {
                uses[from] -= 1;
                let last = uses[from] == 0;
                if last {
                    kept[from].take()
                } else {
                    kept[from].clone()
                }
            }
            None => residual.take_if(|_| index + 1 == links.len()),
        };
        link.forward(x, added)
    })
}
