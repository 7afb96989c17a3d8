// What removing attention does to each class.

function drawKnockout(host, view, layer, onLayer) {
  if (!view.knockout) {
    host.replaceChildren(empty("No knock-out was computed for this taxonomy."));
    return;
  }
}
