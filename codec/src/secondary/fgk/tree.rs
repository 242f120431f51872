//! The tree of FGK. Its shape determines every code, so each step follows xdelta3 3.0.11.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::{Index, IndexMut};

use crate::error::{Fault, HuffmanFault};
use crate::secondary::bits::BitReader;

const BYTES: usize = 256;
/// The number of nodes: 256 leaves, then the inner nodes as they are needed.
const NODES: usize = 2 * BYTES - 1;

/// The number of a node; that of a leaf is its byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NodeId(u16);

/// The number of a block, a group of nodes of equal weight that follow each other in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BlockId(u16);

#[derive(Debug, Clone, Copy, Default)]
struct Node {
    weight: u64,
    parent: Option<NodeId>,
    /// For a leaf not seen yet: the leaves before and after it in the list of unseen leaves.
    left: Option<NodeId>,
    right: Option<NodeId>,
    /// The neighbours in the list of nodes by weight.
    lighter: Option<NodeId>,
    heavier: Option<NodeId>,
    block: Option<BlockId>,
}

/// The adaptive code: a byte's path from the root is its code, and each byte changes the tree.
#[derive(Debug)]
pub(in crate::secondary) struct Tree {
    nodes: Nodes,
    inner: u16,
    root: NodeId,
    /// The leaf that represents all bytes not seen yet, the first of their list; `None` when all
    /// were seen.
    unseen: Option<NodeId>,
    unseen_count: u32,
    /// The heaviest node of each block.
    leaders: Vec<Option<NodeId>>,
    free_blocks: Vec<BlockId>,
}

#[derive(Debug)]
struct Nodes(Box<[Node; NODES]>);

// Numbers of nodes are always within 0..NODES, so the remainder changes none.
impl Index<NodeId> for Nodes {
    type Output = Node;

    #[inline]
    #[allow(clippy::indexing_slicing)]
    fn index(&self, node: NodeId) -> &Node {
        &self.0[usize::from(node.0) % NODES]
    }
}

impl IndexMut<NodeId> for Nodes {
    #[inline]
    #[allow(clippy::indexing_slicing)]
    fn index_mut(&mut self, node: NodeId) -> &mut Node {
        &mut self.0[usize::from(node.0) % NODES]
    }
}

impl Tree {
    /// Creates the tree before the first byte.
    pub(in crate::secondary) fn new() -> Self {
        let mut nodes = Nodes(Box::new([Node::default(); NODES]));
        for byte in 0..BYTES as u16 {
            let leaf = &mut nodes[NodeId(byte)];
            leaf.left = byte.checked_sub(1).map(NodeId);
            leaf.right =
                Some(byte.saturating_add(1)).filter(|&next| usize::from(next) < BYTES).map(NodeId);
        }
        Self {
            nodes,
            inner: BYTES as u16,
            root: NodeId(0),
            unseen: Some(NodeId(0)),
            unseen_count: BYTES as u32,
            leaders: vec![None; NODES],
            free_blocks: (0..NODES as u16).rev().map(BlockId).collect(),
        }
    }

    /// Writes the code of a byte to `path`, the last bit first.
    pub(super) fn path(&self, byte: u8, path: &mut Vec<bool>) {
        let leaf = NodeId(u16::from(byte));
        let mut at = leaf;
        if self.nodes[leaf].weight == 0 {
            let mut place = 0u32;
            let mut before = self.nodes[leaf].left;
            while let Some(other) = before {
                place = place.saturating_add(1);
                before = self.nodes[other].left;
            }
            path.extend((0..self.place_bits()).map(|bit| place >> bit & 1 != 0));
            at = self.unseen.unwrap_or(leaf);
        }
        while let Some(parent) = self.nodes[at].parent.filter(|_| at != self.root) {
            path.push(self.nodes[parent].right == Some(at));
            at = parent;
        }
    }

    /// Returns the number of bits for one of the bytes not seen yet.
    fn place_bits(&self) -> u32 {
        u32::BITS.saturating_sub(self.unseen_count.saturating_sub(1).leading_zeros())
    }

    /// Reads the byte whose code comes next.
    pub(super) fn find(&self, bits: &mut BitReader<'_>) -> Result<u8, Fault> {
        let mut at = self.root;
        while usize::from(at.0) >= BYTES {
            let node = &self.nodes[at];
            at = if bits.bit()? { node.right } else { node.left }.ok_or(HuffmanFault::Code)?;
        }
        if Some(at) == self.unseen {
            for _ in 0..bits.number(self.place_bits())? {
                at = self.nodes[at].right.ok_or(HuffmanFault::Code)?;
            }
        }
        Ok(at.0 as u8)
    }

    /// Counts a byte and updates the tree.
    pub(super) fn update(&mut self, byte: u8) {
        let leaf = NodeId(u16::from(byte));
        let mut at = if self.nodes[leaf].weight == 0 { self.first_seen(leaf) } else { leaf };
        while at != self.root {
            self.make_leader(at);
            self.promote(at);
            self.count(at);
            let Some(parent) = self.nodes[at].parent else { return };
            at = parent;
        }
        self.count(at);
    }

    fn count(&mut self, node: NodeId) {
        self.nodes[node].weight = self.nodes[node].weight.saturating_add(1);
    }

    fn new_block(&mut self, leader: NodeId) -> Option<BlockId> {
        let block = self.free_blocks.pop();
        self.set_leader(block, leader);
        block
    }

    fn free_block(&mut self, block: Option<BlockId>) {
        self.free_blocks.extend(block);
    }

    fn set_leader(&mut self, block: Option<BlockId>, leader: NodeId) {
        if let Some(slot) = block.and_then(|block| self.leaders.get_mut(usize::from(block.0))) {
            *slot = Some(leader);
        }
    }

    /// Returns the block of `node` if it has weight 1, else a new one led by `leader`.
    fn block_of_one(&mut self, node: Option<NodeId>, leader: NodeId) -> Option<BlockId> {
        match node.map(|node| self.nodes[node]) {
            Some(Node { weight: 1, block, .. }) => block,
            _ => self.new_block(leader),
        }
    }

    /// Exchanges a node with the heaviest of its block, both in the tree and in the list.
    fn make_leader(&mut self, node: NodeId) {
        let Node { weight, block, parent, .. } = self.nodes[node];
        let leader =
            block.and_then(|block| self.leaders.get(usize::from(block.0)).copied().flatten());
        let Some(leader) =
            leader.filter(|&leader| weight != 0 && leader != node && Some(leader) != parent)
        else {
            return;
        };
        self.exchange_in_list(node, leader);
        let (its_parent, leaders_parent) = (parent, self.nodes[leader].parent);
        let its_side = its_parent.map(|parent| self.nodes[parent].right == Some(node));
        let leaders_side = leaders_parent.map(|parent| self.nodes[parent].right == Some(leader));
        self.set_child(its_parent, its_side, leader);
        self.set_child(leaders_parent, leaders_side, node);
        self.nodes[node].parent = leaders_parent;
        self.nodes[leader].parent = its_parent;
        self.set_leader(block, node);
    }

    fn set_child(&mut self, parent: Option<NodeId>, right: Option<bool>, child: NodeId) {
        let Some(parent) = parent else { return };
        match right {
            Some(true) => self.nodes[parent].right = Some(child),
            _ => self.nodes[parent].left = Some(child),
        }
    }

    /// Exchanges `node` with `leader`, which comes after it in the list.
    fn exchange_in_list(&mut self, node: NodeId, leader: NodeId) {
        let (before, after) = (self.nodes[node].lighter, self.nodes[leader].heavier);
        let (behind_node, before_leader) = (self.nodes[node].heavier, self.nodes[leader].lighter);
        if behind_node == Some(leader) {
            self.link(Some(leader), Some(node));
        } else {
            self.link(Some(leader), behind_node);
            self.link(before_leader, Some(node));
        }
        self.link(before, Some(leader));
        self.link(Some(node), after);
    }

    fn link(&mut self, lighter: Option<NodeId>, heavier: Option<NodeId>) {
        if let Some(lighter) = lighter {
            self.nodes[lighter].heavier = heavier;
        }
        if let Some(heavier) = heavier {
            self.nodes[heavier].lighter = lighter;
        }
    }

    /// Moves a node whose weight is about to grow by one to its new block.
    fn promote(&mut self, node: NodeId) {
        let Node { weight, left, right, lighter, heavier, block, .. } = self.nodes[node];
        if weight == 0 {
            return;
        }
        let joins = heavier.filter(|&heavier| {
            heavier != self.root && self.nodes[heavier].weight == weight.saturating_add(1)
        });
        let joined = joins.and_then(|heavier| self.nodes[heavier].block);
        let over_unseen = left.is_some_and(|left| self.nodes[left].weight == 0);
        if let Some(lighter) = lighter.filter(|_| lighter == right && over_unseen) {
            if joins.is_some() {
                self.free_block(block);
                self.nodes[node].block = joined;
                self.nodes[lighter].block = joined;
            }
            return;
        }
        if lighter == self.unseen {
            return;
        }
        match lighter.filter(|&lighter| self.nodes[lighter].block == block) {
            Some(lighter) => self.set_leader(block, lighter),
            None => self.free_block(block),
        }
        self.nodes[node].block = if joins.is_some() { joined } else { self.new_block(node) };
    }

    /// Gives a byte a leaf of its own; returns the node to count from.
    fn first_seen(&mut self, leaf: NodeId) -> NodeId {
        let unseen = self.unseen.unwrap_or(leaf);
        if self.unseen_count == 1 {
            self.nodes[leaf].right = None;
            self.nodes[leaf].block = self.block_of_one(self.nodes[leaf].heavier, leaf);
            self.unseen = None;
            return leaf;
        }
        let inner = NodeId(self.inner);
        self.inner = self.inner.saturating_add(1);
        let Node { parent, heavier, .. } = self.nodes[unseen];
        self.nodes[inner] =
            Node { parent, heavier, right: Some(leaf), lighter: Some(leaf), ..Node::default() };
        if unseen == self.root {
            self.root = inner;
            self.nodes[leaf].block = self.new_block(leaf);
            self.nodes[inner].block = self.new_block(inner);
        } else {
            self.link(Some(inner), heavier);
            let right = parent.map(|parent| self.nodes[parent].right == Some(unseen));
            self.set_child(parent, right, inner);
            let block = self.block_of_one(heavier, inner);
            self.nodes[inner].block = block;
            self.nodes[leaf].block = block;
        }
        self.unseen_count = self.unseen_count.saturating_sub(1);
        let Node { left: before, right: after, .. } = self.nodes[leaf];
        if let Some(before) = before {
            self.nodes[before].right = after;
        }
        if let Some(after) = after {
            self.nodes[after].left = before;
        }
        let unseen = if unseen == leaf { after } else { Some(unseen) };
        self.unseen = unseen;
        self.nodes[inner].left = unseen;
        let of_leaf = &mut self.nodes[leaf];
        (of_leaf.left, of_leaf.right) = (None, None);
        (of_leaf.parent, of_leaf.heavier, of_leaf.lighter) = (Some(inner), Some(inner), unseen);
        if let Some(unseen) = unseen {
            self.nodes[unseen].parent = Some(inner);
            self.nodes[unseen].heavier = Some(leaf);
        }
        leaf
    }
}
