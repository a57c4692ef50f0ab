# 1. export ARM_SUBSCRIPTION_ID=$(az account show --query id -o tsv); terraform init; terraform apply
# 2. The lines grant-access, azcopy and revoke-access of the Azure CLI, for each of these disks:
#    web of "web.vhd"
# 3. terraform apply -var uploaded=true
# 4. az sig share enable-community -g GROUP -r GALLERY

terraform {
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.0"
    }
  }
}

provider "azurerm" {
  features {}
}

variable "uploaded" {
  description = "The files have been uploaded"
  type        = bool
  default     = false
}

locals {
  group    = "GROUP"
  location = "LOCATION"
}

resource "azurerm_managed_disk" "os" {
  name                 = "web"
  resource_group_name  = local.group
  location             = local.location
  storage_account_type = "Standard_LRS"
  create_option        = "Upload"
  upload_size_bytes    = 32212255232
  os_type              = "Linux"
  hyper_v_generation   = "V2"
}

resource "azurerm_shared_image_gallery" "gallery" {
  name                = "GALLERY"
  resource_group_name = local.group
  location            = local.location
  sharing {
    permission = "Community"
    community_gallery {
      publisher_uri   = "PUBLISHER-URI"
      publisher_email = "PUBLISHER-EMAIL"
      eula            = "EULA-URI"
      prefix          = "PREFIX"
    }
  }
}

resource "azurerm_shared_image" "definition" {
  name                                = "web"
  gallery_name                        = azurerm_shared_image_gallery.gallery.name
  resource_group_name                 = local.group
  location                            = local.location
  os_type                             = "Linux"
  specialized                         = false
  hyper_v_generation                  = "V2"
  architecture                        = "x64"
  trusted_launch_supported            = true
  disk_controller_type_nvme_enabled   = true
  accelerated_network_support_enabled = true
  identifier {
    publisher = "PUBLISHER"
    offer     = "OFFER"
    sku       = "SKU"
  }
}

resource "azurerm_image" "image" {
  count               = var.uploaded ? 1 : 0
  name                = "web"
  resource_group_name = local.group
  location            = local.location
  hyper_v_generation  = "V2"
  os_disk {
    os_type         = "Linux"
    os_state        = "Generalized"
    storage_type    = "Standard_LRS"
    managed_disk_id = azurerm_managed_disk.os.id
  }
}

resource "azurerm_shared_image_version" "version" {
  count               = var.uploaded ? 1 : 0
  name                = "1.0.0"
  gallery_name        = azurerm_shared_image_gallery.gallery.name
  image_name          = azurerm_shared_image.definition.name
  resource_group_name = local.group
  location            = local.location
  managed_image_id    = azurerm_image.image[0].id
  target_region {
    name                   = local.location
    regional_replica_count = 1
  }
}
