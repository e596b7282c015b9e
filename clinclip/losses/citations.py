"""Works that several classes cite."""

KO_PARK = (
    "Ko, H. & Park, C. M. Bringing CLIP to the Clinic: Dynamic Soft Labels and Negation-Aware Learning for Medical "
    "Analysis. CVPR 2025."
)
KHOSLA = "Khosla, P. et al. Supervised Contrastive Learning. NeurIPS 2020."
